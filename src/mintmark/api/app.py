"""The ASGI application: Starlette's router over the resources, our middleware, and the error handler.

GET /                         the registers               GET /{name}/…    a register, or {name}.{domain}/…
GET /{name}/log/…             the log itself              GET /openapi.json, /robots.txt, /-/docs, /-/static/…

Compression ── Errors ── Paths ── Router ── ResourceEndpoint ── routes/*
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote
from zlib import crc32

from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, Router

from mintmark.api import models
from mintmark.api.formats import NotAcceptable, segment
from mintmark.api.middleware import Compression, Errors, Paths, redirect
from mintmark.api.problems import problem_response
from mintmark.api.register_cache import RegisterCache
from mintmark.api.requests import ABORT, HELD, HttpRequest, RouteContext, choose_format
from mintmark.api.responses import model_response
from mintmark.api.routes import logs, registers, site
from mintmark.api.routes.table import HOME_FORMATS, PROOF_HANDLERS, RESOURCES, v1_target
from mintmark.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from starlette.requests import Request
    from starlette.types import Message, Receive, Scope, Send

    from mintmark.api.models import View
    from mintmark.api.routes.table import Resource
    from mintmark.store.registers.register_store import RegisterStore


FILE_BYTES = 2**25  # of a file of a log: a bundle of entries and items may be read for it


class App(Router):
    """The read API over one read database."""

    def __init__(self, store: RegisterStore, elsewhere: Mapping[str, str]) -> None:
        self.registers = RegisterCache(store, elsewhere)
        routes = [
            Route("/", self._list_registers),
            *site.ROUTES,
            *(
                Route("/{register}" + path, ResourceEndpoint(self.registers, found))
                for path, found in RESOURCES.items()
            ),
            Route("/{register}/log/{path:path}", self._serve_log_file),
            Route("/{register}/{path:path}", self._redirect_from_v1),
        ]
        middleware = [
            Middleware(Compression),
            Middleware(Errors, handler=self._problem),
            Middleware(Paths, own_register=self.registers.own_register),
        ]
        super().__init__([RouteIndex(routes)], redirect_slashes=False, default=_not_found, middleware=middleware)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers an HTTP request; nothing else is served. An answer about a log says how fresh the log is."""

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start" and self.registers.has_log(name := _first_segment(scope)):
                fresh = (b"mintmark-freshness", self.registers.freshness(name).header.encode())
                message = {**message, "headers": [*message["headers"], fresh]}
            await send(message)

        if scope["type"] == "http":
            await super().__call__(scope, receive, send_marked)

    async def _list_registers(self, request: Request) -> Response:
        request = HttpRequest(request.scope)
        format_ = choose_format(request.suffix, request.accept, HOME_FORMATS)
        views = [self.registers.cached[name].view for name in sorted(self.registers.cached)]
        shown = tuple(name for name in HOME_FORMATS if name != "full")
        freshness = [self.registers.freshness(view.name) for view in views]
        model = models.RegisterList(path="/", formats=shown, registers=views, freshness=freshness)
        fresh = crc32(",".join(each.tag for each in freshness).encode())
        tag = f"{sum(view.size for view in views)}-{len(views)}-{fresh:x}"
        return model_response(model, format_, request, None, tag)

    async def _serve_log_file(self, request: Request) -> Response:
        request = HttpRequest(request.scope)
        log, head = self.registers.log(request.path_values["register"])
        async with self.registers.memory.hold(FILE_BYTES):
            return await logs.file(self.registers.store, log, head, request.path_values["path"] + request.dotted)

    async def _redirect_from_v1(self, request: Request) -> Response:
        request = HttpRequest(request.scope)
        view = await self.registers.view(request.path_values["register"], request.params.get("at"))
        view = _on_its_host(self.registers, request, view)
        path = [unquote(part) for part in request.path_params["path"].split("/")]
        if (target := v1_target(path, view, html=_prefers_html(request))) is None:
            raise _no_route()
        status, segments = target
        below = "".join(f"/{segment(part)}" for part in segments if part)  # two slashes would begin a host's name
        return redirect(status, view.base + below + request.dotted, request.scope)

    def _problem(self, request: HttpRequest, error: Exception) -> Response:
        cached = self.registers.cached.get(_first_segment(request.scope))
        return problem_response(request, error, _on_its_host(self.registers, request, cached.view) if cached else None)


class RouteIndex(BaseRoute):
    """Starlette's routes by their second segment and length, so that a path is matched against one or two, not all."""

    def __init__(self, routes: Sequence[Route]) -> None:
        words = {word for route in routes if not (word := _shape(route.path)[0]).startswith("{")}
        longest = max(_shape(route.path)[1] for route in routes)
        self._by_shape = {
            (word, length): [route for route in routes if _may_match(route, word, length)]
            for word in (*words, "{")
            for length in range(longest + 1)
        }
        self._words, self._longest = words, longest

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """The first route that matches, as `route` of the scope."""
        word, length = _shape(scope["path"])
        shape = (word if word in self._words else "{", min(length, self._longest))
        for route in self._by_shape[shape]:
            match, child = route.matches(scope)
            if match is Match.FULL:
                child["route"] = route
                return match, child
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the request with the route that matched."""
        await scope["route"].handle(scope, receive, send)


def _may_match(route: Route, word: str, length: int) -> bool:
    own, own_length = _shape(route.path)
    return (own == word or own.startswith("{")) and (length == own_length or "{path:path}" in route.path)


def _shape(path: str) -> tuple[str, int]:
    """The second segment, and the number of slashes."""
    length = path.count("/")
    return (path.split("/", 3)[2] if length > 1 else ""), length


class ResourceEndpoint:
    """Serves one resource of any register, as an ASGI application for a route."""

    def __init__(self, registers: RegisterCache, resource: Resource) -> None:
        self._registers = registers
        self._resource = resource
        self._page_formats = resource.page_formats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        request = HttpRequest(scope)
        async with self._registers.memory.hold(self._resource.memory(request.params), scope.get(ABORT)) as held:
            scope[HELD] = held
            response = await self._respond(request)
            await response(scope, receive, send)

    async def _respond(self, request: HttpRequest) -> Response:
        names = request.path_values
        name = names.pop("register")
        view = _on_its_host(self._registers, request, await self._registers.view(name, request.params.get("at")))
        resource = self._resource
        format_ = choose_format(request.suffix, request.accept, resource.formats)
        if format_ == "json" and request.wants_all:
            format_ = "full"
        context = RouteContext(
            self._registers, request, format_, self._page_formats, view, self._registers.register(name).log.id
        )
        if format_ == "proof":
            return await PROOF_HANDLERS[resource.handler](context, **names)
        found = await resource.handler(context, **names)
        if isinstance(found, Response):
            return found
        max_age = resource.max_age if view.fixed and format_ != "html" else 0
        return model_response(found, format_, request, view, self._tag(view, format_), max_age)

    def _tag(self, view: View, format_: str) -> str:
        """The state that a response depends on: the view, the heads of other registers where links lead there, and how
        fresh the log is where that is shown.
        """
        tag = view.tag
        if not self._resource.max_age and (format_ == "html" or view.linked):
            tag += f"-{self._registers.total}"
        if format_ == "html" or self._resource.handler is registers.register:
            tag += f"-{self._registers.freshness(view.name).tag}"
        return tag


def _first_segment(scope: Scope) -> str:
    """The first segment of a scope's path: the name of a log, if anything."""
    return unquote(scope["path"][1:].partition("/")[0])


def _on_its_host(registers: RegisterCache, request: HttpRequest, view: View) -> View:
    """The view with addresses for the register's own host, where the request came there."""
    return registers.for_host(view, request.sibling_url) if request.on_own_host else view


def _prefers_html(request: HttpRequest) -> bool:
    try:
        return choose_format(request.suffix, request.accept, HOME_FORMATS) == "html"
    except NotAcceptable:
        return False


async def _not_found(_: Scope, __: Receive, ___: Send) -> NoReturn:
    raise _no_route()


def _no_route() -> NotFound:
    return NotFound("nothing is at this path; /openapi.json lists what there is")
