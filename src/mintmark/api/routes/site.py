"""Paths that are the same on every host: robots.txt, the OpenAPI document and its page, static files."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import orjson
from starlette.routing import Route

from mintmark.api import html
from mintmark.api.openapi.document import DOCUMENT
from mintmark.api.requests import HttpRequest
from mintmark.api.responses import YEAR_SECONDS, response
from mintmark.errors import NotFound

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ROBOTS_TXT = b"User-agent: *\nDisallow: /\n"


async def robots(_: Request) -> Response:
    """Asks robots to stay away."""
    return response(ROBOTS_TXT, "text/plain; charset=UTF-8")


async def openapi(request: Request) -> Response:
    """The OpenAPI document. Raises NotFound for another suffix than .json."""
    if HttpRequest(request.scope).suffix != "json":
        raise NotFound("the OpenAPI document is at /openapi.json")
    return response(_openapi_json(), "application/json")


async def docs(_: Request) -> Response:
    """The OpenAPI document as a page."""
    return response(_docs_page(), "text/html; charset=UTF-8", headers=html.PAGE_HEADERS)


async def static(request: Request) -> Response:
    """A file that pages load; it never changes at the address with its own version. Raises NotFound."""
    if (asset := html.ASSETS.get(request.path_params["name"])) is None:
        raise NotFound("there is no such static file")
    current = request.path_params["version"] == html.ASSETS_VERSION
    return response(asset.body, asset.type, max_age=YEAR_SECONDS if current else 0)


@cache
def _openapi_json() -> bytes:
    return orjson.dumps(DOCUMENT, option=orjson.OPT_APPEND_NEWLINE)


@cache
def _docs_page() -> bytes:
    return html.render_docs(DOCUMENT)


ROUTES = (
    Route("/robots.txt", robots),
    Route("/openapi", openapi),
    Route("/-/docs", docs),
    Route("/-/static/{version}/{name}", static),
)
