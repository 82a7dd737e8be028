"""Answer queries from the index: QIDO-RS."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydicom.datadict import dictionary_VR, tag_for_keyword

from vesalius.errors import FormatError
from vesalius.server.database import Database
from vesalius.server.described import LEVELS
from vesalius.server.identity import checked_uid

Level = Literal["study", "series", "instance"]

_UP: dict[Level, tuple[Level, ...]] = {
    "study": ("study",),
    "series": ("study", "series"),
    "instance": ("study", "series", "instance"),
}
_FROM: dict[Level, str] = {
    "study": "SELECT study.uid AS study, study.header AS study_header FROM studies AS study",
    "series": (
        "SELECT study.uid AS study, study.header AS study_header, series.uid AS series, series.header AS series_header "
        "FROM series JOIN studies AS study ON study.uid = series.study"
    ),
    "instance": (
        "SELECT study.uid AS study, study.header AS study_header, series.uid AS series, "
        "series.header AS series_header, instance.uid AS instance, instance.header AS instance_header "
        "FROM instances AS instance JOIN studies AS study ON study.uid = instance.study "
        "JOIN series ON series.uid = instance.series AND series.study = instance.study"
    ),
}
_COLUMNS = {"study": "study.uid", "series": "series.uid", "instance": "instance.uid"}
_UIDS: dict[str, Level] = {
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "series",
    "SOPInstanceUID": "instance",
}
_MODALITIES = "00080061"


def search(
    database: Database, level: Level, keys: Mapping[str, str], *, limit: int, offset: int = 0
) -> list[dict[str, Any]]:
    """Find studies, series or objects.

    Args:
        database: Of the store.
        level: Of what.
        keys: By DICOM keyword: a value, ``*`` and ``?`` in texts, ``-`` in ranges of dates and times, several UIDs with
            commas. An empty value fits everything.
        limit: Answers at most.
        offset: Answers to leave out at the beginning.

    Returns:
        As DICOM JSON, in the order of their UIDs.

    Raises:
        FormatError: A keyword is none of the level or those above it, or a UID is none.

    Source: PS3.18 2026c, 8.3.4 (search parameters) and 10.6; PS3.4 2026c, C.2.2.2 (attribute matching).
    """
    known = {name for one in _UP[level] for name in LEVELS[one]} | {"ModalitiesInStudy"}
    for keyword in keys:
        if keyword not in known:
            raise FormatError(f"there is no search for such an attribute among the {level} attributes")
    where: list[str] = ["1"]
    values: list[str | int] = []
    rest = {}
    for keyword, value in keys.items():
        if keyword in _UIDS and value:
            uids = [checked_uid(one, keyword) for one in value.replace("\\", ",").split(",")]
            where.append(f"{_COLUMNS[_UIDS[keyword]]} IN ({', '.join('?' * len(uids))})")
            values += uids
        elif value:
            rest[keyword] = value
    order = ", ".join(_COLUMNS[one] for one in _UP[level])
    page = "" if rest else " LIMIT ? OFFSET ?"  # what only the headers tell cannot be counted by SQL
    values += [] if rest else [limit, offset]
    rows = database.rows(f"{_FROM[level]} WHERE {' AND '.join(where)} ORDER BY {order}{page}", *values)
    found: list[dict[str, Any]] = []
    left = offset if rest else 0
    for row in rows:
        if len(found) >= limit:
            break
        header = {tag: one for up in _UP[level] for tag, one in json.loads(row[f"{up}_header"]).items()}
        if "ModalitiesInStudy" in rest or level == "study":
            header[_MODALITIES] = {"vr": "CS", "Value": _modalities(database, row["study"])}
        if not all(_fits(header, keyword, value) for keyword, value in rest.items()):
            continue
        if left:
            left -= 1
            continue
        found.append(header | dict(_counts(database, level, row)))
    return found


def _modalities(database: Database, study: str) -> list[str]:
    rows = database.rows("SELECT header FROM series WHERE study = ?", study)
    return sorted({value for row in rows for value in json.loads(row["header"]).get("00080060", {}).get("Value", [])})


def _counts(database: Database, level: Level, row: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    def count(table: str, **keys: str) -> dict[str, Any]:
        where = " AND ".join(f"{name} = ?" for name in keys)
        (found,) = database.rows(f"SELECT COUNT(*) AS n FROM {table} WHERE {where}", *keys.values())
        return {"vr": "IS", "Value": [found["n"]]}

    if level == "study":
        yield "00201206", count("series", study=row["study"])
        yield "00201208", count("instances", study=row["study"])
    if level == "series":
        yield "00201209", count("instances", study=row["study"], series=row["series"])


def _fits(header: Mapping[str, Any], keyword: str, wanted: str) -> bool:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    values = header.get(f"{tag:08X}", {}).get("Value") or [""]
    vr = dictionary_VR(tag)
    texts = [str(one.get("Alphabetic", "")) if isinstance(one, dict) else str(one) for one in values]
    if vr in ("DA", "TM") and "-" in wanted:
        first, _, last = wanted.partition("-")
        return any(text and first <= text and (not last or text[: len(last)] <= last) for text in texts)
    pattern = wanted.casefold() if vr == "PN" else wanted
    return any(fnmatch.fnmatchcase(text.casefold() if vr == "PN" else text, _escaped(pattern)) for text in texts)


def _escaped(pattern: str) -> str:
    """DICOM knows ``*`` and ``?``, but no brackets."""
    return pattern.replace("[", "[[]")
