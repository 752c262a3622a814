"""The ASGI application: host and path to a route, a route's answer to bytes, and the headers that go with them.

    GET /                         the registers               GET /{name}/…    a register, or {name}.{domain}/…
    GET /{name}/log/…             the log itself              GET /openapi.json, /robots.txt, /-/docs, /-/static/…

It routes by hand: a request passes one dictionary and one `match`, for the time goes into thousands of small ones.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import orjson
import structlog

from mintmark.api import html, models, responses
from mintmark.api.http_request import HttpRequest, parse
from mintmark.api.negotiate import SUFFIXES, choose
from mintmark.api.openapi import document
from mintmark.api.problems import NotAcceptable, NotAllowed, status
from mintmark.api.register_cache import Registers
from mintmark.api.routes import logs
from mintmark.api.routes.context import FOREVER, Readers, Reply, RouteContext
from mintmark.api.routes.table import PROOF_FILES, join, moved, route
from mintmark.errors import MintmarkError, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from mintmark.api.models import Answer, View
    from mintmark.api.routes.context import Route
    from mintmark.store.registers.register_store import RegisterStore

LIST = ("json", "yaml", "csv", "tsv", "ttl", "html")
PROBLEM = ("json", "yaml", "csv", "tsv", "ttl", "html")
ROBOTS = b"User-agent: *\nDisallow: /\n"
METHODS = ("GET", "HEAD", "OPTIONS")

_log = structlog.get_logger("mintmark.api")


class App:
    """The read API over one read database."""

    def __init__(self, store: RegisterStore, elsewhere: Mapping[str, str]) -> None:
        self.registers = Registers(store, elsewhere)
        self._readers = Readers(store)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request."""
        if scope["type"] != "http":
            return
        request: HttpRequest | None = None
        try:
            request = parse(scope, SUFFIXES)
            if request.method not in METHODS:
                raise NotAllowed(f"{request.method}: a register is read here, with GET and HEAD")
            reply = responses.options() if request.method == "OPTIONS" else await self._answer(request)
        except Exception as error:  # noqa: BLE001  # whatever it is, the client is answered
            reply = self._problem(request, error)
        await responses.send(request, reply, receive, send)

    async def _answer(self, request: HttpRequest) -> Reply:
        path = request.segments
        if len(path) > 1 and path[-1] == "":
            return self._moved(request, 301, _stem(request).rstrip("/") + _suffix(request))
        if path[0] in ("-", "openapi", "robots.txt") and (reply := self._fixed(request, path)) is not None:
            return reply
        if (register := self._by_host(request)) is not None:
            return await self._register(request, register, [] if path == [""] else path)
        return self._list(request) if path == [""] else await self._register(request, path[0], path[1:])

    def _fixed(self, request: HttpRequest, path: list[str]) -> Reply | None:
        """What is the same on every host, and no register's."""
        match path:
            case ["robots.txt"]:
                return Reply("text/plain; charset=UTF-8", ROBOTS)
            case ["openapi"] if request.suffix == "json":
                return Reply("application/json", self._openapi)
            case ["-", "static", version, name] if name in html.ASSETS:
                asset = html.ASSETS[name]
                return Reply(asset.type, asset.body, fresh=FOREVER if version == html.VERSION else 0)
            case ["-", "docs"]:
                return Reply("text/html; charset=UTF-8", self._docs, headers=dict(html.HEADERS))
        return None

    @cached_property
    def _openapi(self) -> bytes:
        return orjson.dumps(document.DOCUMENT, option=orjson.OPT_APPEND_NEWLINE)

    @cached_property
    def _docs(self) -> bytes:
        return html.render_docs(document.DOCUMENT)

    def _list(self, request: HttpRequest) -> Reply:
        format_ = choose(request.suffix, request.accept, LIST)
        known = [self.registers.known[name].view for name in sorted(self.registers.known)]
        answer = models.RegisterList(path="/", formats=LIST, registers=known)
        return responses.render(answer, format_, request, None, f"{sum(view.size for view in known)}-{len(known)}")

    async def _register(self, request: HttpRequest, name: str, path: list[str]) -> Reply:
        if path[:1] == ["log"] and path[1:2] != ["entries"]:
            log, head = self.registers.log(name)
            reply = await logs.serve(self.registers.store, log, head, "/".join(path[1:]) + _suffix(request))
            return responses.with_head(reply, log.origin, head.size, head.root, final=reply.fresh > 0)
        view = await self.registers.view(name, request.params.get("at"))
        view = self._for_host(request, view)
        try:
            found, args = route(path)
        except NotFound:
            if (there := moved(path, view, html=_wants_page(request))) is None:
                raise
            return self._moved(request, there[0], view.base + join(there[1]) + _suffix(request))
        return await self._route(request, view, found, args)

    async def _route(self, request: HttpRequest, view: View, found: Route, args: dict[str, str]) -> Reply:
        format_ = choose(request.suffix, request.accept, found.formats)
        handler, final = found.handler, found.final
        if format_ == "proof":
            handler, final = PROOF_FILES[handler], FOREVER
        log = self.registers.register(view.name).log.id
        shown = found.formats[:-1] if found.formats[-1] == "proof" else found.formats
        context = RouteContext(self.registers, self._readers, request, format_, shown, view, log)
        answer: Answer | Reply = await handler(context, **args)
        if isinstance(answer, Reply):
            return responses.with_head(answer, view.origin, view.size, view.root, final=view.fixed)
        fresh = final if view.fixed and format_ != "html" else 0
        return responses.render(answer, format_, request, view, self._tag(view, format_, final), fresh)

    def _tag(self, view: View, format_: str, final: int) -> str:
        """What an answer depends on: the view, later erasures, and where links lead to other registers, their heads."""
        if final or not (format_ == "html" or view.linked):
            return view.tag
        return f"{view.tag}-{self.registers.total}"

    def _by_host(self, request: HttpRequest) -> str | None:
        """The register whose own host name was asked: {name}.{domain} of its origin."""
        name, _, domain = request.host.partition(":")[0].partition(".")
        known = self.registers.known.get(name)
        return name if known is not None and known.log.origin == f"{domain}/{name}" else None

    def _for_host(self, request: HttpRequest, view: View) -> View:
        """The view with links as they are from the host that was asked."""
        if self._by_host(request) != view.name:
            return view
        return self.registers.for_host(view, f"{request.scheme}://{{}}.{request.host.partition('.')[2]}")

    def _around(self, request: HttpRequest) -> View | None:
        """The register that a request was for, at its head, if it is here."""
        known = self.registers.known.get(self._by_host(request) or request.segments[0])
        return self._for_host(request, known.view) if known else None

    def _moved(self, request: HttpRequest, code: int, path: str) -> Reply:
        query = f"?{request.query}" if request.query else ""
        address = "/" + path.lstrip("/\\")  # two slashes would begin the name of another host
        return Reply("text/plain; charset=UTF-8", b"", status=code, headers={"Location": address + query})

    def _problem(self, request: HttpRequest | None, error: Exception) -> Reply:
        known = status(error)
        if known.code >= 500:
            ours = isinstance(error, MintmarkError)
            path, detail = request.path if request else "", " ".join(str(error).split())
            _log.error("request failed", path=path, detail=detail, exc_info=None if ours else error)
        try:
            format_ = choose(request.suffix, request.accept, PROBLEM) if request else "json"
        except MintmarkError:
            format_ = "html" if request and "text/html" in request.accept else "json"
        detail = known.detail or str(error)
        path = request.path if request else "/"
        view = self._around(request) if request else None
        answer = models.Problem(path=path, status=known.code, title=known.title, detail=detail, view=view)
        return responses.problem(answer, format_, request, error)


def _wants_page(request: HttpRequest) -> bool:
    try:
        return choose(request.suffix, request.accept, LIST) == "html"
    except NotAcceptable:
        return False


def _stem(request: HttpRequest) -> str:
    return request.path.removesuffix(_suffix(request))


def _suffix(request: HttpRequest) -> str:
    return f".{request.suffix}" if request.suffix else ""
