"""From an answer to an HTTP response: body, caching, conditional requests, compression, and the head it speaks for.

Every response about a register names the size and root that it was read at. What is true at a fixed size stays so, and
is sent as immutable; everything else is asked for again, with an ETag that saves sending it.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from mintmark.api import answers, html
from mintmark.api.formats import csv, json, jsonl, tsv, ttl, yaml
from mintmark.api.negotiate import TYPES
from mintmark.api.routes.context import Reply
from mintmark.errors import Busy, Unavailable
from mintmark.register.item import format_hash

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from starlette.types import Send

    from mintmark.api.answers import Answer, View
    from mintmark.api.request import Request

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


def render(answer: Answer, format_: str, request: Request, view: View | None, tag: str, fresh: int = 0) -> Reply:
    """The answer in a format. `tag` changes when it may; `fresh` is how many seconds it stays true."""
    etag = f'"{tag}-{format_}"'
    headers = {"ETag": etag} | _links(answer)
    if format_ == "tsv":
        headers["Mintmark-Replaced"] = "tabs and line breaks, by spaces"
    if isinstance(answer, answers.Records | answers.Entries) and format_ != "html" and view is not None:
        stem = view.name + ("-entries" if isinstance(answer, answers.Entries) else "-records")
        headers["Content-Disposition"] = f'inline; filename="{stem}.{format_}"'
    if matches(request.if_none_match, etag):
        reply = Reply(TYPES[format_], b"", status=304, fresh=fresh, headers=headers)
    else:
        reply = Reply(TYPES[format_], body(answer, format_, request), fresh=fresh, headers=headers)
    if format_ == "html":
        reply.headers.update(html.HEADERS)
    return with_head(reply, view.origin, view.size, view.root, final=fresh > 0) if view is not None else reply


def body(answer: Answer, format_: str, request: Request | None) -> bytes:
    """The bytes of an answer in a format."""
    if format_ == "html":
        return html.render(answer)
    if format_ == "ttl":
        return ttl.render(answer, request.root if request else "")
    return RENDER[format_](answer)


def problem(answer: answers.Problem, format_: str, request: Request | None, error: Exception) -> Reply:
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


def matches(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match names an entity tag (weakly: RFC 9110 section 13.1.2)."""
    if not if_none_match:
        return False
    tags = [tag.strip().removeprefix("W/").replace('-gzip"', '"') for tag in if_none_match.split(",")]
    return "*" in tags or etag in tags


async def send(request: Request | None, reply: Reply, send: Send) -> None:
    """Sends a reply; HEAD without its body, text compressed where the client takes gzip."""
    headers = [*COMMON, (b"content-type", reply.type.encode()), (b"cache-control", _cache(reply))]
    headers += [(name.lower().encode(), text.encode("latin-1", "replace")) for name, text in reply.headers.items()]
    streamed = not isinstance(reply.body, bytes)
    gzip = request is not None and "gzip" in request.encodings and (streamed or len(reply.body) > SMALL)  # type: ignore[arg-type]
    if gzip:
        headers = [
            (n, v.replace(b'"', b'-gzip"', 2).replace(b'-gzip"', b'"', 1) if n == b"etag" else v) for n, v in headers
        ]
        headers.append((b"content-encoding", b"gzip"))
    if isinstance(reply.body, bytes):
        data = _compress(reply.body) if gzip else reply.body
        if reply.status not in (204, 304):
            headers.append((b"content-length", str(len(data)).encode()))
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request and request.method == "HEAD" else data})
        return
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if request is not None and request.method != "HEAD":
        async for part in _stream(reply.body, gzip):
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _stream(parts: AsyncIterator[bytes], gzip: bool) -> AsyncIterator[bytes]:
    if not gzip:
        async for part in parts:
            yield part
        return
    compressor = zlib.compressobj(1, wbits=31)
    async for part in parts:
        if packed := compressor.compress(part):
            yield packed
    yield compressor.flush()


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
    if isinstance(answer, answers.Records | answers.Entries | answers.Diff):
        at = {} if isinstance(answer, answers.Diff) else {"at": str(answer.view.size)}
        for rel, params in (("next", answer.page.next), ("previous", answer.page.previous)):
            if params is not None:
                found.append(f'<?{_query(params, at)}>; rel="{rel}"')
    if isinstance(answer, answers.Record):
        found.append(f'<{answer.view.base}{answer.path}/entries>; rel="version-history"')
    return {"Link": ",".join(found)} if found else {}


def _query(params: Mapping[str, Any], at: Mapping[str, str]) -> str:
    return urlencode({**params, **at})
