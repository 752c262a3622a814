"""HTML: every answer as a page that works without JavaScript, and the documentation of the API.

    answer ── render ──> templates/<its class>.html ──> page       show, words, draw: what the templates only print

Templates escape everything. `HEADERS` go with every page: nothing is loaded from elsewhere, and no script or style that
is not a file of ours runs, so text of a register that slipped through stays dead.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mintmark.api import models
from mintmark.api.html import draw, show, words
from mintmark.api.html.assets import ASSETS, STATIC_PATH, VERSION
from mintmark.api.linking import segment, title
from mintmark.register import canonical
from mintmark.register.item import format_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mintmark.api.models import Model, View

__all__ = ["ASSETS", "HEADERS", "STATIC_PATH", "VERSION", "render", "render_docs"]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
TEMPLATES: Mapping[type[Model], str] = {
    models.RegisterList: "registers.html",
    models.RegisterDetail: "register.html",
    models.RecordList: "records.html",
    models.RecordDetail: "record.html",
    models.ReferrerList: "referrers.html",
    models.EntryList: "entries.html",
    models.EntryDetail: "entry.html",
    models.ItemDetail: "item.html",
    models.Diff: "diff.html",
    models.Problem: "problem.html",
}

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters.update(words.FILTERS, segment=segment)
_PAGES.globals.update(
    static=STATIC_PATH,
    cells=show.cells,
    split=show.split,
    shown=show.shown,
    defined=show.defined,
    differences=show.differences,
    steps=show.steps,
    title=title,
    columns=show.columns,
    grouped=show.references,
    as_of=words.as_of,
    narrowings=show.narrowings,
    format_hash=format_hash,
    canonical=lambda value: canonical.format(value).decode(),
    plural=words.plural,
    sparkline=draw.sparkline,
    position=draw.position,
    ticks=draw.ticks,
    coin=draw.coin,
)


def render(model: Model) -> bytes:
    """The page of an answer that `TEMPLATES` has a template for."""
    view: View | None = getattr(model, "view", None)
    page = _PAGES.get_template(TEMPLATES[type(model)])
    return page.render(model=model, view=view, to=_addresses(view)).encode()


def render_docs(openapi: Mapping[str, Any]) -> bytes:
    """The documentation of the API that `openapi.DOCUMENT` describes: every operation by its tag, to read and try."""
    operations = [_operation(openapi, path, item["get"]) for path, item in openapi["paths"].items()]
    groups = [(tag, [found for found in operations if found["tag"] == tag["name"]]) for tag in openapi["tags"]]
    errors = {
        status: _resolved(openapi, response)["description"]
        for item in openapi["paths"].values()
        for status, response in item["get"]["responses"].items()
        if "$ref" in response
    }
    page = _PAGES.get_template("docs.html")
    return page.render(info=openapi["info"], groups=groups, errors=errors, view=None, to=_addresses(None)).encode()


def _operation(openapi: Mapping[str, Any], path: str, get: Mapping[str, Any]) -> dict[str, Any]:
    """An operation for the template. Errors, which all have, are components; its own responses are not."""
    own = [(status, response) for status, response in get["responses"].items() if "$ref" not in response]
    return {
        "path": path,
        "tag": get["tags"][0],
        "summary": get["summary"],
        "description": get.get("description", ""),
        "parameters": [{"required": False, "example": ""} | _resolved(openapi, part) for part in get["parameters"]],
        "responses": [(status, response["description"], list(response.get("content", ()))) for status, response in own],
    }


def _resolved(openapi: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of the document, or the component that it refers to."""
    if (reference := part.get("$ref")) is None:
        return dict(part)
    kind, name = reference.removeprefix("#/components/").split("/")
    return dict(openapi["components"][kind][name])


def _addresses(view: View | None) -> Callable[..., str]:
    """The address of a path of the register, as of the time that the reader is at, or of the `at` that is given."""

    def to(path: str = "", **params: object) -> str:
        query = {"at": view.at if view else None} | params
        given = {name: value for name, value in query.items() if value is not None}
        address = (view.base if view else "") + path or "/"
        return f"{address}?{urlencode(given)}" if given else address

    return to
