"""ASGI middleware of the read API: compression, errors, and paths as the routing table matches them.

    Compression ── Errors ── Paths ── Router

docs/adr/009-web-libraries.md has the reasons why Starlette's own middleware is not used.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote_to_bytes

from starlette.datastructures import MutableHeaders

from mintmark.api.formats import SUFFIXES
from mintmark.api.problems import ALLOWED_METHODS, MethodNotAllowed
from mintmark.api.requests import DOWNLOAD_BEGAN, OWN_HOST, SUFFIX, HttpRequest, header, host, raw_path
from mintmark.api.responses import gzip_tag, response
from mintmark.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFLIGHT_HEADERS = {
    "Allow": ", ".join(ALLOWED_METHODS),
    "Access-Control-Allow-Methods": ", ".join(ALLOWED_METHODS),
    "Access-Control-Allow-Headers": "Accept, If-None-Match",
    "Access-Control-Max-Age": "86400",
}
MIN_GZIP_BYTES = 1_025
MAX_ENCODING_CHARS = 512  # of Accept-Encoding that are read, and cached
GZIP_LEVEL, DOWNLOAD_GZIP_LEVEL = 5, 1
GZIP_WBITS = 31  # zlib's code for a gzip header and the largest window


class Compression:
    """Compresses responses for clients that accept gzip; those without a length, as they are made."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        encodings = header(scope, b"accept-encoding")
        await self._app(
            scope, receive, _GzipSend(send) if encodings and _accepts_gzip(encodings[:MAX_ENCODING_CHARS]) else send
        )


class _GzipSend:
    """An ASGI `send` that compresses one response. A body of known length comes in one message."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None  # held back until the compressed length is known
        self._stream: zlib._Compress | None = None

    async def __call__(self, message: Message) -> None:
        """Sends a message on."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif self._start is not None:
            body = _gzip(message["body"])
            MutableHeaders(raw=self._start["headers"])["content-length"] = str(len(body))
            await self._send(self._start)
            await self._send({**message, "body": body})
        elif self._stream is not None:
            await self._send_part(message, self._stream)
        else:
            await self._send(message)

    async def _begin(self, start: Message) -> None:
        headers = MutableHeaders(raw=start["headers"])
        length = headers.get("content-length")
        if start["status"] in (204, 304) or (length is not None and int(length) < MIN_GZIP_BYTES):
            await self._send(start)
            return
        headers["content-encoding"] = "gzip"
        if (etag := headers.get("etag")) is not None:
            headers["etag"] = gzip_tag(etag)
        if length is not None:
            self._start = start
            return
        self._stream = zlib.compressobj(DOWNLOAD_GZIP_LEVEL, wbits=GZIP_WBITS)
        await self._send(start)

    async def _send_part(self, message: Message, stream: zlib._Compress) -> None:
        more = message.get("more_body", False)
        body = stream.compress(message["body"]) + (b"" if more else stream.flush())
        if body or not more:
            await self._send({**message, "body": body})


def _gzip(body: bytes) -> bytes:
    compressor = zlib.compressobj(GZIP_LEVEL, wbits=GZIP_WBITS)
    return compressor.compress(body) + compressor.flush()


@lru_cache(maxsize=256)
def _accepts_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.replace(" ", "").partition(";q=")
        if coding in ("gzip", "x-gzip"):
            return weight.strip("0.") != "" or weight == ""
    return False


class Errors:
    """Answers an error with the response that `handler` makes. After a download began, the error breaks it off."""

    def __init__(self, app: ASGIApp, handler: Callable[[HttpRequest, Exception], Response]) -> None:
        self._app = app
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            if scope.get(DOWNLOAD_BEGAN):
                raise
            await self._handler(HttpRequest(scope), error)(scope, receive, send)


class Paths:
    """Brings a path into the form that the routes match, and answers what needs no route.

    The path stays percent-encoded, so that a key may hold a slash, and loses the suffix that names a format; `%2E` for
    the dot keeps the suffix part of a key. On a register's own host the path begins with the register's name.
    """

    def __init__(self, app: ASGIApp, own_register: Callable[[str], str | None]) -> None:
        self._app = app
        self._own_register = own_register

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on. Raises Malformed for a path that is not percent-encoded UTF-8, MethodNotAllowed."""
        path, suffix = _split_suffix(raw_path(scope))
        scope[SUFFIX] = suffix
        scope["path"] = path = _normalize(path)
        if scope["method"] not in ALLOWED_METHODS:
            raise MethodNotAllowed(f"{scope['method']}: a register is read here, with GET and HEAD")
        if scope["method"] == "OPTIONS":
            await response(b"", "text/plain", status=204, headers=PREFLIGHT_HEADERS)(scope, receive, send)
            return
        if path.endswith("/") and path != "/":
            end = f".{suffix}" if suffix else ""
            target = raw_path(scope).removesuffix(end).rstrip("/") + end
            await redirect(301, target, scope)(scope, receive, send)
            return
        if not _is_of_the_site(path) and (name := self._own_register(host(scope))) is not None:
            scope[OWN_HOST] = True
            scope["path"] = f"/{name}{path if path != '/' else ''}"
        await self._app(scope, receive, send)


def redirect(status: int, path: str, scope: Scope) -> Response:
    """A redirect to another path of the same host, with the same query."""
    query = scope["query_string"].decode("latin-1")
    location = "/" + path.lstrip("/\\")  # two slashes would begin the name of another host
    headers = {"Location": f"{location}?{query}" if query else location}
    return response(b"", "text/plain; charset=UTF-8", status=status, headers=headers)


def _split_suffix(path: str) -> tuple[str, str | None]:
    stem, dot, suffix = path.rpartition(".")
    return (stem, suffix) if dot and suffix in SUFFIXES else (path, None)


def _normalize(path: str) -> str:
    """The path with each segment encoded in one way: as the routes' templates are."""
    if path.isascii() and "%" not in path and "\0" not in path:
        return path
    try:
        segments = [unquote_to_bytes(part.encode("latin-1")).decode() for part in path.split("/")]
    except UnicodeDecodeError:
        raise Malformed("the path is not UTF-8, percent-encoded") from None
    if any("\0" in segment for segment in segments):
        raise Malformed("U+0000 in the path")
    return "/".join(quote(segment, safe=":") for segment in segments)


def _is_of_the_site(path: str) -> bool:
    """True for the paths that are the same on every host, and no register's."""
    return path.startswith("/-/") or path in ("/openapi", "/robots.txt")
