"""What all services of the DICOMweb server share: bounds, refusals, the object that is asked for, what is noted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from vesalius.errors import FormatError
from vesalius.server.identity import checked_uid
from vesalius.server.store import Instance, Store

if TYPE_CHECKING:
    from starlette.requests import Request

JSON, DICOM, BYTES = "application/dicom+json", "application/dicom", "application/octet-stream"
UIDS = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}

_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True)
class Bounds:
    """What a request may take.

    Args:
        body_bytes: Of what is stored by one request.
        pause_s: Between two pieces of a body.
        body_s: For a body as a whole.
        frame_bytes: Of a frame, uncompressed.
        frames: In a request.
        rendered_pixels: Of a frame that is shown as a picture.
    """

    body_bytes: int = 8 << 30
    pause_s: float = 30.0
    body_s: float = 3600.0
    frame_bytes: int = 256 << 20
    frames: int = 4096
    rendered_pixels: int = 64 << 20


class RefusedError(Exception):
    """A request that is answered with a status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass
class Record:
    """What the audit chain is told of a request.

    Args:
        studies: UIDs.
        objects: How many were given out or kept.
        refused: How many were not kept.
    """

    studies: list[str] = field(default_factory=list)
    objects: int = 0
    refused: int = 0


def record_of(request: Request) -> Record:
    """Of a request, begun when it is first asked for."""
    if not hasattr(request.state, "record"):
        request.state.record = Record()
    found: Record = request.state.record
    return found


def path_uids(request: Request) -> dict[str, str]:
    """The UIDs of a request's path, by level.

    Raises:
        FormatError: One is none.
    """
    return {name: checked_uid(str(value), f"{name} UID") for name, value in request.path_params.items() if name in UIDS}


def chosen(store: Store, request: Request) -> tuple[Instance, ...]:
    """The objects that a path names.

    Raises:
        RefusedError: There are none.
        FormatError: A UID is none.
    """
    uids = path_uids(request)
    record = record_of(request)
    record.studies = [uids["study"]]
    found = store.instances(**uids)
    if not found:
        raise RefusedError(404, "there is no such object here")
    record.objects = len(found)
    return found


def root_of(request: Request, public: str | None) -> str:
    """The address of the services, for what refers to them.

    Args:
        request: Whose header ``Host`` counts where nothing else is known.
        public: As others know it.

    Raises:
        FormatError: The header holds something else than a host.
    """
    if public is not None:
        return public.rstrip("/")
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise FormatError("the header Host holds no host")
    server = request.scope.get("server")
    if ":" not in host.rpartition("]")[2] and server and server[1] not in (None, 80, 443):
        host = f"{host}:{server[1]}"  # some clients leave the port out, also where it is none of the usual ones
    return f"{request.url.scheme}://{host}"


def checked_origin(text: str) -> str:
    """An origin of pages that may ask, as browsers write it.

    Raises:
        FormatError: It is none; ``*``, which would let in every page that there is, too.

    Example:
        >>> checked_origin("https://viewer.example")
        'https://viewer.example'
    """
    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and _HOST.fullmatch(parts.netloc) is not None
    except ValueError:
        right = False
    if not right or text != f"{parts.scheme}://{parts.netloc}":
        raise FormatError("an origin is written like https://viewer.example: without a path, and no *")
    return text


def place_of(instance: Instance) -> str:
    """The path of an object."""
    return f"/studies/{instance.study}/series/{instance.series}/instances/{instance.uid}"


def frame_list(text: str, bounds: Bounds) -> tuple[int, ...]:
    """Numbers of frames as a path has them, counted from 0.

    Raises:
        FormatError: They are none, or too many.

    Example:
        >>> frame_list("1,3", Bounds())
        (0, 2)
    """
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() and 0 < len(word) < 8 and int(word) for word in words):
        raise FormatError("frames are numbers from 1, with commas between them")
    if len(words) > bounds.frames:
        raise FormatError(f"a request may ask for {bounds.frames} frames at most")
    return tuple(int(word) - 1 for word in words)


def parts(bodies: Iterator[bytes], kind: str, boundary: str) -> Iterator[bytes]:
    """A multipart body out of what comes, part by part.

    Args:
        bodies: Of the parts.
        kind: Media type of each.
        boundary: From `vesalius.server.dicomweb.multipart.new_boundary`.
    """
    for body in bodies:
        yield f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode("ascii")
        yield body
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode("ascii")
