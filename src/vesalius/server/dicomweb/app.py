"""The DICOMweb server: QIDO-RS, WADO-RS and STOW-RS on the store."""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from vesalius.errors import FormatError, MissingDependencyError, VesaliusError
from vesalius.server.dicomweb.matching import Level, search
from vesalius.server.dicomweb.multipart import End, Head, Splitter, joined, new_boundary, parameters
from vesalius.server.dicomweb.stowed import Kept, answer_of, failed, known
from vesalius.server.dicomweb.tokens import Tokens
from vesalius.server.identity import checked_uid
from vesalius.server.store import FullError, Instance, Store

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

_JSON, _DICOM = "application/dicom+json", "application/dicom"
_UIDS = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "instance": "SOPInstanceUID"}
_MOST_ANSWERS = 5000
_IN_MEMORY = 1 << 20  # bytes of a part before it goes to disk
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class Bounds:
    """What a request may take.

    Args:
        body_bytes: Of what is stored by one request.
        pause_s: Between two pieces of a body.
    """

    body_bytes: int = 8 << 30
    pause_s: float = 30.0


def create_app(store: Store, tokens: Tokens, *, bounds: Bounds | None = None) -> Starlette:
    """The server as an ASGI application.

    Objects are given out as they are kept, whatever transfer syntax is asked for: nothing is transcoded. Every request
    needs a token. There are no CORS headers: pages of other servers get nothing.

    Args:
        store: Whose objects.
        tokens: Who may do what.
        bounds: What a request may take.

    Raises:
        MissingDependencyError: Starlette is not installed.

    Source: PS3.18 2026c, chapter 10 (Studies Service).
    """
    try:
        from starlette.applications import Starlette
        from starlette.routing import Route
    except ImportError:
        raise MissingDependencyError("DICOMweb needs Starlette: pip install 'vesalius[server]'") from None
    limits = bounds or Bounds()

    def route(path: str, answer: Callable[[Request], Awaitable[Response]], method: str = "GET") -> Route:
        may = "write" if method == "POST" else "read"
        return Route(path, _guarded(answer, tokens, may), methods=[method])

    study, series, instance = "/studies/{study}", "/series/{series}", "/instances/{instance}"
    queries: list[tuple[str, Level]] = [
        ("/studies", "study"),
        ("/series", "series"),
        ("/instances", "instance"),
        (study + "/series", "series"),
        (study + "/instances", "instance"),
        (study + series + "/instances", "instance"),
    ]
    routes = [route(path, _query(store, level)) for path, level in queries]
    for path in (study, study + series, study + series + instance):
        routes += [route(path, _retrieve(store)), route(path + "/metadata", _metadata(store))]
    routes += [route(path, _stow(store, limits), "POST") for path in ("/studies", study)]
    return Starlette(routes=routes)


def _guarded(
    answer: Callable[[Request], Awaitable[Response]], tokens: Tokens, may: str
) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        from starlette.responses import JSONResponse
        from starlette.responses import Response as Plain

        allowed = tokens.allows(request.headers.get("authorization"))
        if allowed is None:
            return Plain(status_code=401, headers=_HEADERS | {"WWW-Authenticate": 'Bearer, Basic realm="DICOMweb"'})
        if may == "write" and allowed != "write":
            return Plain(status_code=403, headers=_HEADERS)
        try:
            response = await answer(request)
        except _RefusedError as error:
            response = JSONResponse({"error": error.reason}, status_code=error.status)
        except FormatError as error:
            response = JSONResponse({"error": str(error)}, status_code=400)
        except Exception as error:  # its words may hold anything
            log.error("a request could not be answered: %s", type(error).__name__)  # noqa: TRY400
            response = Plain(status_code=500)
        response.headers.update(_HEADERS)
        return response

    return guarded


class _RefusedError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def _query(store: Store, level: Level) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response as Plain

        keys, more = {_UIDS[name]: uid for name, uid in _path_uids(request).items()}, {}
        for name, value in request.query_params.multi_items():
            if name in ("limit", "offset"):
                if not value.isascii() or not value.isdigit() or len(value) > 9:
                    raise FormatError(f"{name} must be a whole number")
                more[name] = int(value)
            elif name not in ("includefield", "fuzzymatching"):
                keys.setdefault(_keyword(name), value)
        limit = min(more.get("limit", _MOST_ANSWERS), _MOST_ANSWERS)
        found = await run_in_threadpool(search, store.database, level, keys, limit=limit, offset=more.get("offset", 0))
        return Plain(json.dumps(found), media_type=_JSON)

    return answer


def _keyword(name: str) -> str:
    """DICOM keyword of a parameter, which can be a tag, too."""
    from pydicom.datadict import keyword_for_tag

    if len(name) == 8 and all(one in "0123456789abcdefABCDEF" for one in name):
        return keyword_for_tag(int(name, 16)) or name
    return name


def _path_uids(request: Request) -> dict[str, str]:
    return {name: checked_uid(str(value), f"{name} UID") for name, value in request.path_params.items()}


def _chosen(store: Store, request: Request) -> tuple[Instance, ...]:
    found = store.instances(**_path_uids(request))
    if not found:
        raise _RefusedError(404, "there is no such object here")
    return found


def _retrieve(store: Store) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        from starlette.responses import StreamingResponse

        accept = request.headers.get("accept", "*/*").lower()
        if not any(kind in accept for kind in ("*/*", "multipart/*", "multipart/related")):
            raise _RefusedError(406, 'objects are given out as multipart/related; type="application/dicom"')
        boundary = new_boundary()
        files = [(one.path, f"{_DICOM}; transfer-syntax={one.syntax}") for one in _chosen(store, request)]
        return StreamingResponse(
            joined(files, boundary), media_type=f'multipart/related; type="{_DICOM}"; boundary={boundary}'
        )

    return answer


def _metadata(store: Store) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        from starlette.responses import StreamingResponse

        found = _chosen(store, request)

        def told() -> Iterator[str]:
            for number, one in enumerate(found):
                yield ("," if number else "[") + json.dumps(known(one))
            yield "]"

        return StreamingResponse(told(), media_type=_JSON)

    return answer


def _stow(store: Store, bounds: Bounds) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        from starlette.responses import Response as Plain

        kind, said = parameters(request.headers.get("content-type", ""))
        if kind != "multipart/related" or said.get("type", _DICOM).lower() != _DICOM or "boundary" not in said:
            raise _RefusedError(415, 'send multipart/related; type="application/dicom"')
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise _RefusedError(415, "bodies are not taken compressed")
        length = request.headers.get("content-length", "0")
        if length.isdigit() and int(length) > bounds.body_bytes:
            raise _RefusedError(413, "the request is larger than requests may be")
        study = _path_uids(request).get("study")
        splitter = Splitter(said["boundary"])
        results = [one async for one in _stored(_body(request, bounds), splitter, store, study)]
        splitter.close()
        if not results:
            raise FormatError("the request holds no object")
        fine = sum(one.instance is not None for one in results)
        status = 200 if fine == len(results) else 202 if fine else 409
        return Plain(json.dumps(answer_of(results)), status_code=status, media_type=_JSON)

    return answer


async def _body(request: Request, bounds: Bounds) -> AsyncIterator[bytes]:
    taken = 0
    stream = request.stream().__aiter__()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), bounds.pause_s)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _RefusedError(408, "the request takes too long") from None
        taken += len(chunk)
        if taken > bounds.body_bytes:
            raise _RefusedError(413, "the request is larger than requests may be")
        yield chunk


async def _stored(
    body: AsyncIterator[bytes], splitter: Splitter, store: Store, study: str | None
) -> AsyncIterator[Kept]:
    """Keep each part as soon as it is there."""
    from starlette.concurrency import run_in_threadpool

    kind = ""
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(store.folder / "incoming")) as part:
        async for chunk in body:
            for event in splitter.feed(chunk):
                if isinstance(event, Head):
                    kind = parameters(event.content_type)[0]
                    part.seek(0)
                    part.truncate()
                elif isinstance(event, End):
                    yield await run_in_threadpool(_keep, part, kind, store, study)
                else:
                    if part.tell() + len(event) > store.largest_object:
                        raise _RefusedError(413, "an object is larger than objects may be")
                    await run_in_threadpool(part.write, event)


def _keep(part: Any, kind: str, store: Store, study: str | None) -> Kept:
    part.seek(0)
    try:
        if kind not in ("", _DICOM):
            raise FormatError("a part is no DICOM object")
        pieces = cast("Iterator[bytes]", iter(lambda: part.read(_IN_MEMORY), b""))
        return Kept(store.add(pieces, study=study)[0])
    except FullError:
        return failed("full")
    except VesaliusError as error:
        log.warning("an object was refused: %s", error)
        return failed("refused")


def settings_of(app: Any, host: str, port: int, tls: Mapping[str, Any]) -> Any:
    """What uvicorn runs the server with: no log of what was asked for, limits on connections and headers.

    Args:
        app: From `create_app`.
        host: Address to listen at.
        port: TCP port.
        tls: ``ssl_certfile`` and ``ssl_keyfile``, or nothing.

    Raises:
        MissingDependencyError: uvicorn is not installed.
    """
    try:
        import uvicorn
    except ImportError:
        raise MissingDependencyError("DICOMweb needs uvicorn: pip install 'vesalius[server]'") from None
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="critical",
        access_log=False,
        server_header=False,
        limit_concurrency=64,
        timeout_keep_alive=15,
        h11_max_incomplete_event_size=32 << 10,
        lifespan="off",
        ws="none",
        http="h11",
        **tls,
    )
