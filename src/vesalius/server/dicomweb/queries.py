"""QIDO-RS: which studies, series and objects there are."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from vesalius.errors import FormatError
from vesalius.server.described import LEVELS
from vesalius.server.dicomweb.accepting import accepted
from vesalius.server.dicomweb.matching import Level, search
from vesalius.server.dicomweb.requests import JSON, UIDS, RefusedError, path_uids, record_of, root_of
from vesalius.server.store import Store

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MOST_ANSWERS = 5000
"""Of one request; further ones are had by ``offset``."""

_FUZZY = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
_MORE = "There are additional results that can be requested."
_FIELDS = "Some of the fields to include are not in the index."
_INDEXED = {name for names in LEVELS.values() for name in names} | {"ModalitiesInStudy", "SpecificCharacterSet"}
_INDEXED |= {"NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"}
_INDEXED |= {"RetrieveURL", "all"}
_PATHS: Mapping[Level, tuple[tuple[str, str], ...]] = {
    "study": (("studies", "0020000D"),),
    "series": (("studies", "0020000D"), ("series", "0020000E")),
    "instance": (("studies", "0020000D"), ("series", "0020000E"), ("instances", "00080018")),
}


def querying(store: Store, level: Level, public: str | None) -> Callable[[Request], Awaitable[Response]]:
    """What answers a query.

    Args:
        store: Which is asked.
        level: Of what.
        public: Address of the services as others know it.

    Source: PS3.18 2026c, 8.3.4 (query parameters), 10.6 (search transaction; warnings 299).
    """

    async def answer(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response as Plain

        if not any(
            one.takes(JSON) or one.takes("application/json") for one in accepted(request.headers, request.query_params)
        ):
            raise RefusedError(406, "answers to queries are application/dicom+json")
        keys, more, warnings = _asked(request)
        limit = min(more.get("limit", MOST_ANSWERS), MOST_ANSWERS)
        offset = more.get("offset", 0)
        found = await run_in_threadpool(search, store.database, level, keys, limit=limit + 1, offset=offset)
        if len(found) > limit:
            warnings.append(_MORE)
        told = found[:limit]
        root = root_of(request, public)
        for one in told:
            one["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
            one["00081190"] = {"vr": "UR", "Value": [root + _path(one, level)]}
        record = record_of(request)
        record.studies = [one["0020000D"]["Value"][0] for one in told]
        record.objects = len(told)
        headers = {"Warning": ", ".join(f'299 vesalius "{words}"' for words in warnings)} if warnings else {}
        return Plain(json.dumps(told), media_type=JSON, headers=headers)

    return answer


def _asked(request: Request) -> tuple[dict[str, str], dict[str, int], list[str]]:
    """Keys of the query, limits, and what the client is to be warned of."""
    keys, more = {UIDS[name]: uid for name, uid in path_uids(request).items()}, {}
    warnings = []
    for name, value in request.query_params.multi_items():
        if name in ("limit", "offset"):
            if not value.isascii() or not value.isdigit() or len(value) > 9:
                raise FormatError(f"{name} must be a whole number")
            more[name] = int(value)
        elif name == "fuzzymatching":
            if value not in ("true", "false"):
                raise FormatError("fuzzymatching must be true or false")
            warnings += [_FUZZY] * (value == "true")
        elif name == "includefield":
            fields = {_field(one) for one in value.split(",")}
            warnings += [_FIELDS] * bool(fields - _INDEXED and _FIELDS not in warnings)
        elif name != "accept":
            keyword = _keyword(name)
            if keyword in keys and keys[keyword] != value:
                raise FormatError("an attribute is searched for twice, with different values")
            keys[keyword] = value
    return keys, more, warnings


def _field(name: str) -> str:
    from pydicom.datadict import tag_for_keyword

    keyword = _keyword(name)
    if keyword not in _INDEXED and keyword == name and tag_for_keyword(name) is None and not _is_tag(name):
        raise FormatError("includefield names attributes by keyword or tag, or says all")
    return keyword


def _keyword(name: str) -> str:
    """DICOM keyword of a parameter, which can be a tag, too."""
    from pydicom.datadict import keyword_for_tag

    return (keyword_for_tag(int(name, 16)) or name) if _is_tag(name) else name


def _is_tag(name: str) -> bool:
    return len(name) == 8 and all(one in "0123456789abcdefABCDEF" for one in name)


def _path(found: Mapping[str, Any], level: Level) -> str:
    return "".join(f"/{name}/{found[tag]['Value'][0]}" for name, tag in _PATHS[level])
