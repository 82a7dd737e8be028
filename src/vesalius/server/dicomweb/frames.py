"""WADO-RS: single frames, as they are stored or uncompressed, and as pictures to look at."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from vesalius.errors import VesaliusError
from vesalius.io.dicom.encoded import Picture, frames_as_kept, frames_uncompressed, open_picture
from vesalius.server.dicomweb.accepting import Range, accepted
from vesalius.server.dicomweb.multipart import new_boundary
from vesalius.server.dicomweb.rendering import Look, look_of, pixels_of, render
from vesalius.server.dicomweb.requests import BYTES, Bounds, RefusedError, chosen, frame_list, parts, record_of
from vesalius.server.dicomweb.retrieving import Answer
from vesalius.server.store import Store

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_KINDS = {
    **dict.fromkeys(map(str, (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1)), "image/jpeg"),
    **dict.fromkeys(map(str, (JPEGLSLossless, JPEGLSNearLossless)), "image/jls"),
    **dict.fromkeys(map(str, (JPEG2000, JPEG2000Lossless)), "image/jp2"),
    **dict.fromkeys(map(str, (HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL)), "image/jphc"),
    str(RLELossless): "image/dicom-rle",
}
"""Media types of compressed frames. Source: PS3.18 2026c, table 8.7.3-5."""

_PICTURES = ("image/jpeg", "image/png")
_THUMBNAIL = (256, 256)
_AT_ONCE = threading.BoundedSemaphore(2)  # what is decoded lies in memory, however many ask


def giving_frames(store: Store, bounds: Bounds) -> Answer:
    """What gives out frames.

    ``application/octet-stream`` without a transfer syntax means uncompressed; with ``transfer-syntax=*``, and for
    ``*/*`` and the media type that they are compressed in, they come as they are stored.

    Source: PS3.18 2026c, 10.4.1.1.6 (frame resources), 8.7.3 (media types, default transfer syntaxes).
    """

    async def answer(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import StreamingResponse

        (one,) = chosen(store, request)
        indices = frame_list(str(request.path_params["frames"]), bounds)
        picture = await run_in_threadpool(open_picture, one.path)
        if max(indices) >= picture.pixels.frames:
            raise RefusedError(404, "there is no such frame here")
        if picture.frame_bytes > bounds.frame_bytes:
            raise RefusedError(413, "a frame is larger than frames may be here")
        found = (_given(range_, picture) for range_ in accepted(request.headers, request.query_params))
        how = next((one for one in found if one is not None), None)
        if how is None:
            raise RefusedError(
                406, 'frames are given out as multipart/related; type="application/octet-stream"; transfer-syntax=*'
            )
        kind, plain, several = how
        read = frames_uncompressed if plain else frames_as_kept
        bodies = _one_at_a_time(read(picture, indices))
        first = await run_in_threadpool(next, bodies)  # so that most damage is told before the answer begins
        record_of(request).objects = len(indices)
        if not several and len(indices) == 1:
            return StreamingResponse(iter([first]), media_type=kind)
        boundary = new_boundary()
        body = parts(itertools.chain([first], bodies), kind, boundary)
        inner = kind.partition(";")[0]
        return StreamingResponse(body, media_type=f'multipart/related; type="{inner}"; boundary={boundary}')

    return answer


def _given(wanted: Range, picture: Picture) -> tuple[str, bool, bool] | None:
    """Media type, whether uncompressed, and whether in several parts; None where this cannot be given."""
    several = wanted.several is not False
    kept = str(picture.pixels.syntax)
    plain = str(ExplicitVRLittleEndian)
    own = _KINDS.get(kept, BYTES)
    if picture.is_native:
        fine = wanted.takes(BYTES) and wanted.syntax in (None, "*", plain)
        return (f"{BYTES}; transfer-syntax={plain}", True, several) if fine else None
    if wanted.kind == BYTES and wanted.syntax in (None, plain):
        return (f"{BYTES}; transfer-syntax={plain}", True, several) if picture.decodes else None
    if wanted.syntax not in (None, "*", kept):
        return None
    if wanted.takes(own):
        return f"{own}; transfer-syntax={kept}", False, several
    return (f"{BYTES}; transfer-syntax={kept}", False, several) if wanted.takes(BYTES) else None


def _one_at_a_time(frames: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        with _AT_ONCE:
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def showing(store: Store, bounds: Bounds, *, thumbnail: bool = False) -> Answer:
    """What gives out pictures, PNG or JPEG: of an object its first frame, or the frames that are named.

    Thumbnails are of the frame in the middle of the object in the middle, and fit into 256 x 256 pixels.

    Source: PS3.18 2026c, 10.4.1.1.3 (rendered resources), 10.4.1.1.4 (thumbnails).
    """

    async def answer(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response as Plain
        from starlette.responses import StreamingResponse

        found = chosen(store, request)
        look = look_of(request.query_params)
        kind, several = _shown(accepted(request.headers, request.query_params))
        one = found[len(found) // 2]
        frames, pixels = await run_in_threadpool(_checked, one.path)
        if pixels > bounds.rendered_pixels:
            raise RefusedError(413, "a frame is larger than pictures may be here")
        named = request.path_params.get("frames")
        indices = (0,) if named is None else frame_list(str(named), bounds)
        if thumbnail:
            look = Look(look.window, look.viewport or _THUMBNAIL, look.quality)
            indices = (frames // 2,) if named is None else indices
        if max(indices) >= frames:
            raise RefusedError(404, "there is no such frame here")
        record_of(request).objects = len(indices)

        def made() -> Iterator[bytes]:
            for index in indices:
                with _AT_ONCE:
                    picture = render(one.path, index, look, kind)
                yield picture

        if len(indices) == 1 and not several:
            return Plain(await run_in_threadpool(next, made()), media_type=kind)
        boundary = new_boundary()
        body = parts(made(), kind, boundary)
        return StreamingResponse(body, media_type=f'multipart/related; type="{kind}"; boundary={boundary}')

    return answer


def _checked(path: Path) -> tuple[int, int]:
    try:
        return pixels_of(path)
    except VesaliusError as error:
        raise RefusedError(406, f"there is nothing to show: {error}") from None


def _shown(wanted: tuple[Range, ...]) -> tuple[str, bool]:
    for one in wanted:
        for kind in _PICTURES:
            if one.takes(kind):
                return kind, one.several is True
    raise RefusedError(406, "pictures are image/jpeg or image/png")
