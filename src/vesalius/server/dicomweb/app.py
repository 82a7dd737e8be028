"""The DICOMweb server: QIDO-RS, WADO-RS and STOW-RS on the store, behind the roles and the audit chain."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vesalius.errors import FormatError, MissingDependencyError, VesaliusError
from vesalius.privacy.access import Act
from vesalius.server.dicomweb.frames import giving_frames, showing
from vesalius.server.dicomweb.matching import Level
from vesalius.server.dicomweb.queries import querying
from vesalius.server.dicomweb.requests import Bounds, RefusedError, checked_origin, record_of
from vesalius.server.dicomweb.retrieving import Answer, bulk, describing, retrieving
from vesalius.server.dicomweb.storing import storing
from vesalius.server.guard import Guard, UnnotedError
from vesalius.server.store import Store

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger(__name__)

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_SERVICES: Mapping[str, tuple[Act, str]] = {
    "QIDO-RS": ("view", "queried"),
    "WADO-RS": ("view", "read"),
    "STOW-RS": ("store", "stored"),
}
"""The permission that each service asks for, and its word in the audit chain."""


def create_app(
    store: Store,
    guard: Guard,
    *,
    bounds: Bounds | None = None,
    public: str | None = None,
    origins: Sequence[str] = (),
) -> Starlette:
    """The server as an ASGI application.

    Every request needs a token of an account whose roles allow the service: `view` to ask and to retrieve, `store` to
    store. Every request is noted in the audit chain before its answer goes out.

    Args:
        store: Whose objects.
        guard: Roles and audit chain.
        bounds: What a request may take.
        public: Address as others know it, where a proxy stands before it; the header ``Host`` otherwise.
        origins: Of pages that browsers let ask (CORS), as ``https://viewer.example``; nobody's when left out.

    Raises:
        FormatError: An origin is none.
        VesaliusError: There are no roles, so that nobody could ask anything.
        MissingDependencyError: Starlette is not installed.

    Source: PS3.18 2026c, chapter 10 (Studies Service).
    """
    try:
        from starlette.applications import Starlette
        from starlette.middleware import Middleware
        from starlette.middleware.cors import CORSMiddleware
        from starlette.routing import Route
    except ImportError:
        raise MissingDependencyError("DICOMweb needs Starlette: pip install 'vesalius[server]'") from None
    if not guard.asks:
        raise VesaliusError(
            "DICOMweb asks roles, and there are none for this store: name them as `access` in vesalius-privacy.toml, "
            "`vesalius access create` makes them"
        )
    limits = bounds or Bounds()

    def route(path: str, answer: Answer, service: str, method: str = "GET") -> Route:
        return Route(path, _guarded(answer, guard, service), methods=[method])

    study, series, instance = "/studies/{study}", "/series/{series}", "/instances/{instance}"
    queries: list[tuple[str, Level]] = [
        ("/studies", "study"),
        ("/series", "series"),
        ("/instances", "instance"),
        (study + "/series", "series"),
        (study + "/instances", "instance"),
        (study + series + "/instances", "instance"),
    ]
    routes = [route(path, querying(store, level, public), "QIDO-RS") for path, level in queries]
    for path in (study, study + series, study + series + instance):
        routes += [
            route(path, retrieving(store), "WADO-RS"),
            route(path + "/metadata", describing(store, public), "WADO-RS"),
            route(path + "/thumbnail", showing(store, limits, thumbnail=True), "WADO-RS"),
        ]
    one = study + series + instance
    for path, answer in (
        ("/rendered", showing(store, limits)),
        ("/frames/{frames}", giving_frames(store, limits)),
        ("/frames/{frames}/rendered", showing(store, limits)),
        ("/frames/{frames}/thumbnail", showing(store, limits, thumbnail=True)),
        ("/bulkdata/{where:path}", bulk(store, limits)),
    ):
        routes.append(route(one + path, answer, "WADO-RS"))
    routes += [route(path, storing(store, guard, limits, public), "STOW-RS", "POST") for path in ("/studies", study)]
    allowed = [checked_origin(origin) for origin in origins]
    cors = Middleware(
        CORSMiddleware,
        allow_origins=allowed,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Accept", "Content-Type"],
        expose_headers=["Warning"],
        max_age=600,
    )
    return Starlette(routes=routes, middleware=[cors] if allowed else [])


def _guarded(answer: Answer, guard: Guard, service: str) -> Answer:
    act, word = _SERVICES[service]

    async def guarded(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response as Plain

        who = await run_in_threadpool(guard.owner, request.headers.get("authorization"))
        if who is None:
            await run_in_threadpool(guard.note_stranger, service)
            return Plain(status_code=401, headers=_HEADERS | {"WWW-Authenticate": 'Bearer, Basic realm="DICOMweb"'})
        request.state.who = who
        try:
            # Before anything is looked up: whoever may not is told nothing of what there is.
            if not await run_in_threadpool(guard.allows, who, act):
                await run_in_threadpool(guard.note, who, word, "refused", service=service)
                return Plain(status_code=403, headers=_HEADERS)
            response = await _answered(answer, request)
            response.headers.update(_HEADERS)
            return await run_in_threadpool(_noted, guard, who, word, service, request, response)
        except UnnotedError:
            return Plain(status_code=503, headers=_HEADERS)

    return guarded


async def _answered(answer: Answer, request: Request) -> Response:
    from starlette.responses import JSONResponse
    from starlette.responses import Response as Plain

    try:
        return await answer(request)
    except RefusedError as error:
        return JSONResponse({"error": error.reason}, status_code=error.status)
    except FormatError as error:
        return JSONResponse({"error": str(error)}, status_code=400)
    except UnnotedError:
        raise
    except Exception as error:  # its words may hold anything
        log.error("a request could not be answered: %s", type(error).__name__)  # noqa: TRY400
        return Plain(status_code=500)


def _noted(guard: Guard, who: str, word: str, service: str, request: Request, response: Response) -> Response:
    """Write down what is about to be answered; what goes out piece by piece is noted once more when it has gone."""
    from starlette.responses import StreamingResponse

    record = record_of(request)
    facts: dict[str, Any] = {"objects": record.objects, "status": response.status_code}
    if record.refused:
        facts["refused"] = record.refused

    def note(state: str) -> None:
        guard.note(who, word, state, service=service, studies=record.studies, **facts)

    if not isinstance(response, StreamingResponse):
        note("done" if response.status_code < 400 and not record.refused else "failed")
        return response
    note("begun")
    pieces: Any = response.body_iterator

    async def told() -> AsyncIterator[Any]:
        state = "failed"
        try:
            async for piece in pieces:
                yield piece
            state = "done"
        except VesaliusError as error:  # the answer has begun, and can only break off
            log.warning("an answer broke off: %s", error)
            raise
        finally:
            with contextlib.suppress(UnnotedError):  # that it began is noted; the next request is refused
                note(state)

    response.body_iterator = told()
    return response


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
        proxy_headers=False,
        limit_concurrency=64,
        timeout_keep_alive=15,
        h11_max_incomplete_event_size=32 << 10,
        lifespan="off",
        ws="none",
        http="h11",
        **tls,
    )
