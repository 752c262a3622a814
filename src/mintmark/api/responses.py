"""Models as HTTP responses: bytes in a format, entity tag, cache policy, and the head that the response speaks for.

Every response about a register names the size and root that it was read at. A response that can never change is sent as
immutable. Any other is validated each time, with an ETag that saves sending it again.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.responses import Response

from mintmark.api import html, models
from mintmark.api.formats import CONTENT_TYPES, tables, trees, turtle, yaml
from mintmark.api.requests import DOWNLOAD_BEGAN, HELD
from mintmark.register.item import format_hash

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from starlette.types import Receive, Scope, Send

    from mintmark.aio import HeldBytes
    from mintmark.api.models import Model, View
    from mintmark.api.requests import HttpRequest

EXPOSED_HEADERS = (
    "ETag, Link, Location, Mintmark-Origin, Mintmark-Size, Mintmark-Root, Mintmark-Freshness, Mintmark-Proof-Size"
)
# Every response may be read by pages of any site, and depends on these headers of the request.
COMMON_HEADERS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", EXPOSED_HEADERS.encode()),
    (b"vary", b"Accept, Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
)
DAY_SECONDS, YEAR_SECONDS = 86_400, 31_536_000
MAX_PRIVATE_SECONDS = 60  # a response is cached for longer only where it can never change
ETAG_GZIP = "-gzip"  # ends the entity tag of the compressed bytes

LISTS = (models.RecordList, models.EntryList)
PAGED = (*LISTS, models.Diff)
RENDERERS: Mapping[str, Callable[[Model], bytes]] = {
    "json": trees.render_json,
    "full": trees.render_json,
    "jsonl": trees.render_jsonl,
    "yaml": yaml.render_yaml,
    "csv": tables.render_csv,
    "tsv": tables.render_tsv,
    "html": html.render,
}


class ApiResponse(Response):
    """Starlette's response with the common headers. It encodes headers in half of Starlette's time."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str], media_type: str) -> None:
        self.body, self.status_code, self.media_type, self.background = body, status, media_type, None
        self.raw_headers = encode_headers(headers, media_type)
        if status not in (204, 304):
            self.raw_headers.append((b"content-length", b"%d" % len(body)))


class Download(Response):
    """A response whose body is made while it is sent; HEAD sends none of it. Ends early when the client has gone.

    Starlette's StreamingResponse cancels what it waits for when a client goes; this one lets a query end first.
    """

    def __init__(self, parts: AsyncGenerator[bytes, None], headers: Mapping[str, str], media_type: str) -> None:
        self._parts = parts
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.raw_headers = encode_headers(headers, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the header, then each part."""
        scope[DOWNLOAD_BEGAN] = True
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        if scope["method"] != "HEAD":
            await self._send_parts(receive, send, scope.get(HELD))
        await send({"type": "http.response.body", "body": b""})

    async def _send_parts(self, receive: Receive, send: Send, held: HeldBytes | None) -> None:
        gone = asyncio.create_task(_disconnected(receive))
        try:
            async with aclosing(self._parts):
                async for part in self._parts:
                    if gone.done():
                        return
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    if held is not None:
                        held.touch()
        finally:
            gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def model_response(
    model: Model, format_: str, request: HttpRequest, view: View | None, tag: str, max_age: int = 0
) -> Response:
    """A model in a format. `tag` changes when the model may; until then it stays true for `max_age` seconds."""
    etag = f'"{tag}-{format_}"'
    headers = {"ETag": etag, **_model_headers(model, format_, view)}
    if view is not None:
        headers |= head_headers(view.origin, view.size, view.root)
    if (matched := matching_tag(request.if_none_match, etag)) is not None:
        headers["ETag"] = matched
        return response(b"", CONTENT_TYPES[format_], status=304, max_age=max_age, headers=headers)
    return response(render(model, format_, request), CONTENT_TYPES[format_], max_age=max_age, headers=headers)


def render(model: Model, format_: str, request: HttpRequest) -> bytes:
    """The bytes of a model in a format; Turtle has absolute addresses, with the request's host."""
    return turtle.render_turtle(model, request.site_url) if format_ == "ttl" else RENDERERS[format_](model)


def response(
    body: bytes, media_type: str, *, status: int = 200, max_age: int = 0, headers: Mapping[str, str] | None = None
) -> Response:
    """A response that stays true for `max_age` seconds; 0: it is validated each time."""
    return ApiResponse(body, status, {"Cache-Control": cache_control(status, max_age), **(headers or {})}, media_type)


def encode_headers(headers: Mapping[str, str], media_type: str) -> list[tuple[bytes, bytes]]:
    """The headers of a response as ASGI has them, the common ones first."""
    encoded = [(_header_name(name), text.encode("latin-1", "replace")) for name, text in headers.items()]
    return [*COMMON_HEADERS, (b"content-type", media_type.encode()), *encoded]


@cache
def _header_name(name: str) -> bytes:
    return name.lower().encode()


def cache_control(status: int, max_age: int) -> str:
    """The cache policy of a response; one that stays true for long can never change."""
    if status >= 400:
        return "no-store"
    if max_age > MAX_PRIVATE_SECONDS:
        return f"public, max-age={max_age}, immutable"
    return f"private, max-age={max_age}" if max_age else "no-cache"


def head_headers(origin: str, size: int, root: bytes) -> dict[str, str]:
    """The headers that name the head that a response speaks for."""
    return {"Mintmark-Origin": origin, "Mintmark-Size": str(size), "Mintmark-Root": format_hash(root)}


def matching_tag(if_none_match: str, etag: str) -> str | None:
    """The entity tag of If-None-Match that is this one, compressed or not (weakly: RFC 9110 section 13.1.2)."""
    for text in if_none_match.split(",") if if_none_match else ():
        tag = text.strip().removeprefix("W/")
        if tag in (etag, gzip_tag(etag)):
            return tag
        if tag == "*":
            return etag
    return None


def gzip_tag(etag: str) -> str:
    """The entity tag of the compressed bytes: other bytes need another."""
    return f'{etag[:-1]}{ETAG_GZIP}"'


def _model_headers(model: Model, format_: str, view: View | None) -> dict[str, str]:
    headers = dict(html.PAGE_HEADERS) if format_ == "html" else {}
    if links := list(_links(model)):
        headers["Link"] = ",".join(links)
    if isinstance(model, LISTS) and format_ != "html" and view is not None:
        kind = "entries" if isinstance(model, models.EntryList) else "records"
        headers["Content-Disposition"] = f'inline; filename="{view.name}-{kind}.{format_}"'
    return headers


def _links(model: Model) -> list[str]:
    """Links to the pages beside, at the same size: a walk through them sees one register."""
    if isinstance(model, models.RecordDetail):
        return [f'<{model.view.base}{model.path}/entries>; rel="version-history"']
    if not isinstance(model, PAGED):
        return []
    at = {} if isinstance(model, models.Diff) else {"at": str(model.view.size)}
    at |= {"full": model.params["full"]} if "full" in model.params else {}
    pages = (("next", model.page.next), ("previous", model.page.previous))
    return [f'<?{urlencode({**params, **at})}>; rel="{rel}"' for rel, params in pages if params is not None]
