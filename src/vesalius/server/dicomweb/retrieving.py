"""WADO-RS: objects as they are kept, their headers, and the large values that headers leave out."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from vesalius.errors import FormatError
from vesalius.server.dicomweb.accepting import Range, accepted
from vesalius.server.dicomweb.headers import known, value_at
from vesalius.server.dicomweb.multipart import joined, new_boundary
from vesalius.server.dicomweb.requests import BYTES, DICOM, JSON, Bounds, RefusedError, chosen, root_of
from vesalius.server.store import Instance, Store

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

Answer = Callable[["Request"], Awaitable["Response"]]

_CHUNK = 1 << 18
_WHERE = re.compile(r"[0-9A-Fa-f]{8}(/[0-9]{1,6}/[0-9A-Fa-f]{8}){0,16}", re.ASCII)
_PIXELS = "7FE00010"


def retrieving(store: Store) -> Answer:
    """What gives out objects: byte for byte as they are kept, nothing is transcoded.

    Several as ``multipart/related``, a single one also by itself, as ``application/dicom``. A transfer syntax that is
    asked for must be the one that all are kept in.

    Source: PS3.18 2026c, 10.4.1.1.1 and 8.7.3.
    """

    async def answer(request: Request) -> Response:
        from starlette.responses import StreamingResponse

        found = chosen(store, request)
        wanted = next((one for one in accepted(request.headers, request.query_params) if _takes(one, found)), None)
        if wanted is None:
            raise RefusedError(
                406, "objects are given out as application/dicom, multipart/related if several, with transfer-syntax=*"
            )
        if wanted.several is False and "instance" in request.path_params:
            kind = f"{DICOM}; transfer-syntax={found[0].syntax}"
            return StreamingResponse(_pieces(found[0]), media_type=kind)
        boundary = new_boundary()
        files = [(one.path, f"{DICOM}; transfer-syntax={one.syntax}") for one in found]
        return StreamingResponse(
            joined(files, boundary), media_type=f'multipart/related; type="{DICOM}"; boundary={boundary}'
        )

    def _takes(one: Range, found: tuple[Instance, ...]) -> bool:
        if not one.takes(DICOM) or (one.several is False and len(found) > 1):
            return False
        return one.syntax in (None, "*") or all(one.syntax == instance.syntax for instance in found)

    return answer


def describing(store: Store, public: str | None) -> Answer:
    """What gives out headers as DICOM JSON; see `vesalius.server.dicomweb.headers.known`."""

    async def answer(request: Request) -> Response:
        from starlette.responses import StreamingResponse

        if not any(
            one.takes(JSON) or one.takes("application/json") for one in accepted(request.headers, request.query_params)
        ):
            raise RefusedError(406, "headers are given out as application/dicom+json")
        found, root = chosen(store, request), root_of(request, public)

        def told() -> Iterator[str]:
            for number, one in enumerate(found):
                yield ("," if number else "[") + json.dumps(known(one, root))
            yield "]"

        return StreamingResponse(told(), media_type=JSON)

    return answer


def bulk(store: Store, bounds: Bounds) -> Answer:
    """What gives out a value that the header leaves out: at its tag, or tag/item/tag within sequences.

    Pixels of objects that are not compressed; compressed ones are asked for by frame.
    """

    async def answer(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import StreamingResponse

        (one,) = chosen(store, request)
        where = str(request.path_params["where"])
        if not _WHERE.fullmatch(where):
            raise FormatError("a value is named by its tag, or tag/item/tag within sequences")
        wanted = next((w for w in accepted(request.headers, request.query_params) if w.takes(BYTES)), None)
        if wanted is None:
            raise RefusedError(406, "values are given out as application/octet-stream")
        pieces: Any
        if where.upper() == _PIXELS:
            pieces = await run_in_threadpool(_pixels, one, bounds)
        else:
            value = await run_in_threadpool(value_at, one, where)
            if value is None:
                raise RefusedError(404, "there is no such value here")
            pieces = iter([value])
        if wanted.several is False:
            return StreamingResponse(pieces, media_type=BYTES)
        boundary = new_boundary()
        kind = f'multipart/related; type="{BYTES}"; boundary={boundary}'
        return StreamingResponse(_framed(pieces, boundary), media_type=kind)

    return answer


def _pixels(one: Instance, bounds: Bounds) -> Iterator[bytes]:
    """The value of the pixels, frame after frame."""
    from vesalius.io.dicom.encoded import frames_uncompressed, open_picture

    picture = open_picture(one.path)
    if not picture.is_native or picture.pixels.frame_bits % 8:
        raise RefusedError(406, "these pixels are compressed, or frames do not end with bytes: ask for frames")
    if picture.frame_bytes > bounds.frame_bytes:
        raise RefusedError(413, "a frame is larger than frames may be here")
    return frames_uncompressed(picture, range(picture.pixels.frames))


def _framed(pieces: Iterator[bytes], boundary: str) -> Iterator[bytes]:
    """One part out of several pieces."""
    yield f"--{boundary}\r\nContent-Type: {BYTES}\r\n\r\n".encode("ascii")
    yield from pieces
    yield f"\r\n--{boundary}--\r\n".encode("ascii")


def _pieces(one: Instance) -> Iterator[bytes]:
    with one.path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
