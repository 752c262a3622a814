"""From an answer to an HTTP response: body, caching, conditional requests, compression, and the head it speaks for.

Every response about a register names the size and root that it was read at. What is true at a fixed size stays so, and
is sent as immutable; everything else is asked for again, with an ETag that saves sending it.
"""

from __future__ import annotations

import asyncio
import zlib
from contextlib import aclosing
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mintmark.api import html, models
from mintmark.api.formats import csv, json, jsonl, tsv, ttl, yaml
from mintmark.api.negotiate import TYPES
from mintmark.api.routes.context import Reply
from mintmark.errors import Busy, Unavailable
from mintmark.register.item import format_hash

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from starlette.types import Receive, Send

    from mintmark.api.http_request import HttpRequest
    from mintmark.api.models import Answer, View

RENDER: dict[str, Callable[[Answer], bytes]] = {
    "json": json.render,
    "jsonl": jsonl.render,
    "yaml": yaml.render,
    "csv": csv.render,
    "tsv": tsv.render,
}
EXPOSED = "ETag, Link, Location, Mintmark-Origin, Mintmark-Size, Mintmark-Root, Mintmark-Proof-Size, Mintmark-Replaced"
COMMON = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", EXPOSED.encode()),
    (b"vary", b"Accept, Accept-Encoding"),
    (b"x-content-type-options", b"nosniff"),
]
SMALL = 1_024  # bytes that are not worth compressing
LEVEL = 5


def render(answer: Answer, format_: str, request: HttpRequest, view: View | None, tag: str, fresh: int = 0) -> Reply:
    """The answer in a format. `tag` changes when it may; `fresh` is how many seconds it stays true."""
    etag = f'"{tag}-{format_}"'
    headers = {"ETag": etag} | _links(answer)
    if format_ == "tsv":
        headers["Mintmark-Replaced"] = "tabs and line breaks, by spaces"
    if isinstance(answer, models.Records | models.Entries) and format_ != "html" and view is not None:
        stem = view.name + ("-entries" if isinstance(answer, models.Entries) else "-records")
        headers["Content-Disposition"] = f'inline; filename="{stem}.{format_}"'
    if (known := matching(request.if_none_match, etag)) is not None:
        reply = Reply(TYPES[format_], b"", status=304, fresh=fresh, headers=headers | {"ETag": known})
    else:
        reply = Reply(TYPES[format_], body(answer, format_, request), fresh=fresh, headers=headers)
    if format_ == "html":
        reply.headers.update(html.HEADERS)
    return with_head(reply, view.origin, view.size, view.root, final=fresh > 0) if view is not None else reply


def body(answer: Answer, format_: str, request: HttpRequest | None) -> bytes:
    """The bytes of an answer in a format."""
    if format_ == "html":
        return html.render(answer)
    if format_ == "ttl":
        return ttl.render(answer, request.root if request else "")
    return RENDER[format_](answer)


def problem(answer: models.Problem, format_: str, request: HttpRequest | None, error: Exception) -> Reply:
    """An error in a format; problem details (RFC 9457) in JSON."""
    type_ = "application/problem+json" if format_ == "json" else TYPES[format_]
    reply = Reply(type_, body(answer, format_, request), status=answer.status)
    if format_ == "html":
        reply.headers.update(html.HEADERS)
    if isinstance(error, Busy | Unavailable):
        reply.headers["Retry-After"] = str(max(1, round(getattr(error, "retry_after", 1))))
    if answer.status == 405:
        reply.headers["Allow"] = "GET, HEAD, OPTIONS"
    return reply


def options() -> Reply:
    """What is allowed, to a browser that asks before it reads."""
    return Reply(
        "text/plain", b"", status=204,
        headers={
            "Allow": "GET, HEAD, OPTIONS",
            "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
            "Access-Control-Allow-Headers": "Accept, If-None-Match",
            "Access-Control-Max-Age": "86400",
        },
    )  # fmt: skip


def with_head(reply: Reply, origin: str, size: int, root: bytes, *, final: bool) -> Reply:
    """Names the head that a reply speaks for. What is not final is not fresh for more than a minute."""
    reply.headers["Mintmark-Origin"] = origin
    reply.headers["Mintmark-Size"] = str(size)
    reply.headers["Mintmark-Root"] = format_hash(root)
    if not final:
        reply.fresh = min(reply.fresh, 60)
    return reply


def matching(if_none_match: str, etag: str) -> str | None:
    """The entity tag of If-None-Match that this one is, compressed or not (weakly: RFC 9110 section 13.1.2)."""
    for tag in if_none_match.split(",") if if_none_match else ():
        known = tag.strip().removeprefix("W/")
        if known in (etag, _packed_tag(etag)):
            return known
        if known == "*":
            return etag
    return None


async def send(request: HttpRequest | None, reply: Reply, receive: Receive, send: Send) -> None:
    """Sends a reply; HEAD without its body, compressed where the client takes gzip."""
    alone = request is not None and request.method == "HEAD"
    gzip = request is not None and _takes_gzip(request.encodings) and _is_large(reply.body)
    if gzip:
        reply.headers["Content-Encoding"] = "gzip"
        if "ETag" in reply.headers:
            reply.headers["ETag"] = _packed_tag(reply.headers["ETag"])
    headers = [*COMMON, (b"content-type", reply.type.encode()), (b"cache-control", _cache(reply))]
    headers += [(_field_name(name), text.encode("latin-1", "replace")) for name, text in reply.headers.items()]
    if isinstance(reply.body, bytes):
        data = _compress(reply.body) if gzip else reply.body
        if reply.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(data)))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if alone else data})
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if not alone:
        await _stream(reply.body, gzip, receive, send)
    await send({"type": "http.response.body", "body": b""})


async def _stream(parts: AsyncGenerator[bytes, None], gzip: bool, receive: Receive, send: Send) -> None:
    """Sends the parts as they are made, as long as somebody takes them."""
    compressor = zlib.compressobj(1, wbits=31) if gzip else None
    gone = asyncio.create_task(_gone(receive))
    try:
        async with aclosing(parts):
            async for part in parts:
                data = compressor.compress(part) if compressor else part
                if gone.done():
                    return
                if data:
                    await send({"type": "http.response.body", "body": data, "more_body": True})
        if compressor:
            await send({"type": "http.response.body", "body": compressor.flush(), "more_body": True})
    finally:
        gone.cancel()


async def _gone(receive: Receive) -> None:
    """Waits until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _is_large(body: bytes | AsyncGenerator[bytes, None]) -> bool:
    return not isinstance(body, bytes) or len(body) > SMALL


@lru_cache(maxsize=256)
def _takes_gzip(accept_encoding: str) -> bool:
    for part in accept_encoding.lower().split(","):
        coding, _, weight = part.replace(" ", "").partition(";q=")
        if coding in ("gzip", "x-gzip"):
            return weight.strip("0.") != "" or weight == ""
    return False


@lru_cache(maxsize=64)
def _field_name(name: str) -> bytes:
    return name.lower().encode()


def _packed_tag(etag: str) -> str:
    """The entity tag of the same, compressed: other bytes need another."""
    return f'{etag[:-1]}-gzip"'


def _compress(data: bytes) -> bytes:
    compressor = zlib.compressobj(LEVEL, wbits=31)
    return compressor.compress(data) + compressor.flush()


def _cache(reply: Reply) -> bytes:
    if reply.status >= 400:
        return b"no-store"
    if reply.fresh > 60:
        return b"public, max-age=%d, immutable" % reply.fresh
    return b"private, max-age=%d" % reply.fresh if reply.fresh else b"no-cache"


def _links(answer: Answer) -> dict[str, str]:
    """Links to the pages beside, at the same size, so that a walk through them sees one register."""
    found = []
    if isinstance(answer, models.Records | models.Entries | models.Diff):
        at = {} if isinstance(answer, models.Diff) else {"at": str(answer.view.size)}
        for rel, params in (("next", answer.page.next), ("previous", answer.page.previous)):
            if params is not None:
                found.append(f'<?{_query(params, at)}>; rel="{rel}"')
    if isinstance(answer, models.Record):
        found.append(f'<{answer.view.base}{answer.path}/entries>; rel="version-history"')
    return {"Link": ",".join(found)} if found else {}


def _query(params: Mapping[str, Any], at: Mapping[str, str]) -> str:
    return urlencode({**params, **at})
