"""STOW-RS: keep what is sent, part by part as it comes in."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from vesalius.errors import FormatError, VesaliusError
from vesalius.server.described import Described
from vesalius.server.dicomweb.accepting import accepted
from vesalius.server.dicomweb.multipart import End, Head, Splitter, parameters
from vesalius.server.dicomweb.requests import DICOM, JSON, Bounds, RefusedError, path_uids, record_of, root_of
from vesalius.server.dicomweb.stowed import Kept, Why, answer_of
from vesalius.server.guard import Guard, UnnotedError
from vesalius.server.store import AnnouncedError, ConflictError, FullError, Store

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

_IN_MEMORY = 1 << 20  # bytes of a part before it goes to disk
_FAILURES: tuple[tuple[type[VesaliusError], Why], ...] = (
    (FullError, "full"),
    (ConflictError, "conflict"),
    (AnnouncedError, "another"),
)


@dataclass(frozen=True)
class _Shelf:
    """Where the parts of one request go."""

    store: Store
    guard: Guard
    who: str | None
    study: str | None


def storing(store: Store, guard: Guard, bounds: Bounds, public: str | None) -> Callable[[Request], Awaitable[Response]]:
    """What answers a request to store.

    Args:
        store: Where to.
        guard: Is told of each study before something of it is kept.
        bounds: What a request may take.
        public: Address of the services as others know it.

    Source: PS3.18 2026c, 10.5 (store transaction).
    """

    async def answer(request: Request) -> Response:
        from starlette.responses import Response as Plain

        if not any(
            one.takes(JSON) or one.takes("application/json") for one in accepted(request.headers, request.query_params)
        ):
            raise RefusedError(406, "answers are application/dicom+json")
        kind, said = parameters(request.headers.get("content-type", ""))
        if kind != "multipart/related" or said.get("type", DICOM).lower() != DICOM or "boundary" not in said:
            raise RefusedError(415, 'send multipart/related; type="application/dicom"')
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise RefusedError(415, "bodies are not taken compressed")
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > bounds.body_bytes:
            raise RefusedError(413, "the request is larger than requests may be")
        shelf = _Shelf(store, guard, request.state.who, path_uids(request).get("study"))
        root = root_of(request, public)
        record = record_of(request)
        splitter = Splitter(said["boundary"])
        results = []
        async for one in _stored(_body(request, bounds), splitter, shelf):
            results.append(one)
            record.objects += one.instance is not None
            record.refused += one.instance is None
            if one.study and one.study not in record.studies:
                record.studies.append(one.study)
        splitter.close()
        if not results:
            raise FormatError("the request holds no object")
        fine = record.objects
        status = 200 if fine == len(results) else 202 if fine else 409
        return Plain(json.dumps(answer_of(results, root)), status_code=status, media_type=JSON)

    return answer


async def _body(request: Request, bounds: Bounds) -> AsyncIterator[bytes]:
    taken, end = 0, time.monotonic() + bounds.body_s
    stream = request.stream().__aiter__()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), min(bounds.pause_s, end - time.monotonic()))
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise RefusedError(408, "the request takes too long") from None
        taken += len(chunk)
        if taken > bounds.body_bytes:
            raise RefusedError(413, "the request is larger than requests may be")
        yield chunk


async def _stored(body: AsyncIterator[bytes], splitter: Splitter, shelf: _Shelf) -> AsyncIterator[Kept]:
    """Keep each part as soon as it is there."""
    from starlette.concurrency import run_in_threadpool

    kind, store = "", shelf.store
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(store.folder / "incoming")) as part:
        async for chunk in body:
            for event in splitter.feed(chunk):
                if isinstance(event, Head):
                    kind = parameters(event.content_type)[0]
                    part.seek(0)
                    part.truncate()
                elif isinstance(event, End):
                    yield await run_in_threadpool(_keep, part, kind, shelf)
                else:
                    if part.tell() + len(event) > store.largest_object:
                        raise RefusedError(413, "an object is larger than objects may be")
                    await run_in_threadpool(part.write, event)


def _keep(part: Any, kind: str, shelf: _Shelf) -> Kept:
    part.seek(0)
    seen: list[Described] = []

    def admit(found: Described) -> None:
        seen.append(found)
        shelf.guard.note(shelf.who, "stored", "begun", service="STOW-RS", studies=[found.study])

    try:
        if kind not in ("", DICOM):
            raise FormatError("a part is no DICOM object")
        pieces = cast("Iterator[bytes]", iter(lambda: part.read(_IN_MEMORY), b""))
        instance, _ = shelf.store.add(pieces, study=shelf.study, admit=admit)
        return Kept(instance, study=instance.study)
    except UnnotedError:
        raise
    except VesaliusError as error:
        log.warning("an object was refused: %s", error)
        why: Why = next((why for raised, why in _FAILURES if isinstance(error, raised)), "refused")
        named = (seen[0].storage, seen[0].uid) if seen else None
        return Kept(None, why=why, named=named, study=seen[0].study if seen else "")
