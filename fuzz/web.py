"""The DICOMweb server under fuzzing: any request, and any object, of which everything is asked that can be asked."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vesalius.errors import VesaliusError
from vesalius.privacy.access import change_role, create_access
from vesalius.privacy.audit import create_chain
from vesalius.privacy.tokens import draw_token
from vesalius.server.dicomweb.app import create_app
from vesalius.server.dicomweb.requests import Bounds, place_of
from vesalius.server.guard import Guard
from vesalius.server.store import Store

_BOUNDARY = b"fuzz"
_KIND = b'multipart/related; type="application/dicom"; boundary=fuzz'
_EVERYTHING = (
    *("", "/metadata", "/rendered", "/thumbnail", "/bulkdata/7FE00010", "/bulkdata/00282000", "/frames/1"),
    *("/frames/2,1", "/frames/1/rendered"),
)
_ACCEPTS = (b"*/*", b'multipart/related; type="application/octet-stream"', b"image/png", b"application/dicom")
_count = itertools.count()


def dicomweb(data: bytes) -> None:
    """A request, or an object.

    Args:
        data: Of the first byte, bit 0 means an object: it is stored and everything is asked of it. Else a request:
            method and path, a line for each header, an empty line, the body.

    Raises:
        AssertionError: The server answers that it does not know what happened (500), or a file lies outside the store.
    """
    guard, token, folder = _started()
    before = set(folder.iterdir())
    place = folder / f"store-{next(_count)}"
    store = Store(place, largest_object=1 << 20)
    try:
        bounds = Bounds(body_bytes=2 << 20, pause_s=5.0, frame_bytes=16 << 20, rendered_pixels=1 << 20, frames=64)
        app = create_app(store, guard, bounds=bounds, public="https://pacs.example")
        if data[:1] and data[0] & 1:
            _object(app, store, token, data[1:])
        else:
            head, _, body = data[1:].partition(b"\n\n")
            first, *lines = head.split(b"\n")
            method, _, path = first.partition(b" ")
            headers = [
                (name.strip().lower(), value.strip()) for name, _, value in (one.partition(b":") for one in lines)
            ]
            _ask(app, token, method.decode("latin-1"), path, headers, body)
        assert set(folder.iterdir()) - before == {place}
    finally:
        store.close()
        shutil.rmtree(place)


def _object(app: Any, store: Store, token: str, data: bytes) -> None:
    body = b"\r\n--fuzz\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--fuzz--"
    _ask(app, token, "POST", b"/studies", [(b"content-type", _KIND)], body)
    for one in store.instances():
        for what, accept in itertools.product(_EVERYTHING, _ACCEPTS):
            _ask(app, token, "GET", (place_of(one) + what).encode(), [(b"accept", accept)], b"")
        for level in (b"/studies", b"/series", b"/instances"):
            _ask(app, token, "GET", level, [], b"")


def _ask(app: Any, token: str, method: str, path: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    from urllib.parse import unquote

    where, _, query = path.partition(b"?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(where.decode("latin-1")),
        "raw_path": where,
        "root_path": "",
        "query_string": query,
        "headers": [*headers, (b"authorization", f"Bearer {token}".encode())],
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
    }
    status, sent = 0, False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()  # nobody hangs up
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    with contextlib.suppress(VesaliusError):  # an answer that breaks off, since a frame is damaged
        asyncio.run(app(scope, receive, send))
    assert status != 500, "the server does not know what happened"


def start() -> None:
    """Load what the server loads: not on the time of the first input."""
    dicomweb(b"\0GET /studies\n\n")


@functools.cache
def _started() -> tuple[Guard, str, Path]:
    from targets import FOLDER

    folder = Path(FOLDER) / "web"
    folder.mkdir(exist_ok=True)
    keys = Path(FOLDER) / "keys"
    keys.mkdir(exist_ok=True)
    create_access(keys / "access.json", "fuzz")
    for role in ("viewer", "device"):
        change_role(keys / "access.json", "client", role, granted=True)  # type: ignore[arg-type]  # both are roles
    token = draw_token(keys / "access.json", "client")
    return Guard(keys / "access.json", create_chain(keys / "audit")), token, folder


def seeds(objects: Iterator[bytes]) -> Iterator[bytes]:
    """Requests of every kind, and objects.

    Args:
        objects: DICOM files.
    """
    one = b"/studies/1.2/series/1.2.3/instances/1.2.3.4"
    for path in (
        b"/studies",
        b"/series",
        b"/instances",
        b"/studies/1.2/series",
        b"/studies/1.2/series/1.2.3/instances",
    ):
        yield b"\0GET " + path + b"?limit=2&offset=1&includefield=all&fuzzymatching=true\naccept: */*\n\n"
    yield b"\0GET /studies?PatientName=A*&StudyDate=20260101-20261231&00100020=1%3F&ModalitiesInStudy=CT\n\n"
    for what in (
        b"",
        b"/metadata",
        b"/rendered?window=40,400,linear&viewport=9,9&quality=5",
        b"/frames/1,3",
        b"/thumbnail",
    ):
        yield (
            b"\0GET "
            + one
            + what
            + b'\naccept: multipart/related; type="application/octet-stream"; transfer-syntax=*;q=0.5\n\n'
        )
    yield b"\0GET " + one + b"/bulkdata/00081115/1/00282000\nhost: a:1\n\n"
    yield b"\0OPTIONS /studies\norigin: https://a.example\naccess-control-request-method: GET\n\n"
    part = b"--fuzz\r\nContent-Type: application/dicom\r\n\r\n"
    for number, data in enumerate(objects):
        yield b"\1" + data
        if number < 2:
            yield b"\0POST /studies\ncontent-type: " + _KIND + b"\n\n" + part + data + b"\r\n" + part + b"x\r\n--fuzz--"
