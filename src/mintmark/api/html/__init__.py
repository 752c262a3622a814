"""HTML: every model as a page that works without JavaScript, and the documentation of the API.

    model ── render ──> templates/<its class>.html ──> page        values, filters: the functions that templates call

Templates escape everything. `PAGE_HEADERS` go with every page: it loads nothing from elsewhere, and only scripts and
styles of our own files run, so that text of a register that slipped through stays dead. Those files are read once, and
served at an address that changes with them, so that browsers may keep them.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from mintmark.api import models
from mintmark.api.formats import item_path, segment
from mintmark.api.freshness import timestamp
from mintmark.api.html import filters, values
from mintmark.register import canonical
from mintmark.register.item import format_hash
from mintmark.register.links import title

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mintmark.api.models import Model, View

__all__ = ["ASSETS", "ASSETS_VERSION", "PAGE_HEADERS", "STATIC_PATH", "render", "render_docs"]


class Asset(NamedTuple):
    """A static file with its media type."""

    type: str
    body: bytes


def _read_assets() -> dict[str, Asset]:
    files = sorted((Path(__file__).parents[1] / "static").iterdir())
    return {file.name: Asset(ASSET_TYPES[file.suffix], file.read_bytes()) for file in files}


ASSET_TYPES = {
    ".css": "text/css; charset=UTF-8",
    ".js": "text/javascript; charset=UTF-8",
    ".svg": "image/svg+xml",
}
ASSETS: Mapping[str, Asset] = _read_assets()
ASSETS_VERSION = sha256(b"".join(asset.body for asset in ASSETS.values())).hexdigest()[:12]
STATIC_PATH = f"/-/static/{ASSETS_VERSION}"  # no register can have the name `-`
PAGE_HEADERS = {
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
_PAGES.filters.update(filters.FILTERS, segment=segment, timestamp=timestamp)
_PAGES.globals.update(
    static=STATIC_PATH,
    cells=values.cells,
    split_missing=values.split_missing,
    field_values=values.field_values,
    field_href=values.field_href,
    differences=values.differences,
    history_steps=values.history_steps,
    title=title,
    table_columns=values.table_columns,
    group_referrers=values.group_referrers,
    as_of=filters.as_of,
    suggested_facets=values.suggested_facets,
    format_hash=format_hash,
    item_path=item_path,
    canonical=lambda value: canonical.format(value).decode(),
    plural=filters.plural,
    sparkline=filters.sparkline,
    position=filters.position,
    ticks=filters.ticks,
    coin=filters.coin,
)


def render(model: Model) -> bytes:
    """The page of a model; its class is in `TEMPLATES`."""
    view: View | None = getattr(model, "view", None)
    page = _PAGES.get_template(TEMPLATES[type(model)])
    return page.render(model=model, view=view, to=_addresses(view), markdown=filters.PageMarkdown()).encode()


def render_docs(openapi: Mapping[str, Any]) -> bytes:
    """The OpenAPI document as a page: every operation by its tag, to read and to try."""
    operations = [_operation(openapi, path, item["get"]) for path, item in openapi["paths"].items()]
    groups = [(tag, [found for found in operations if found["tag"] == tag["name"]]) for tag in openapi["tags"]]
    errors = {
        status: _resolved(openapi, response)["description"]
        for item in openapi["paths"].values()
        for status, response in item["get"]["responses"].items()
        if "$ref" in response
    }
    page = _PAGES.get_template("docs.html")
    return page.render(
        info=openapi["info"], groups=groups, errors=errors, view=None, to=_addresses(None), markdown=filters.markdown
    ).encode()


def _operation(openapi: Mapping[str, Any], path: str, get: Mapping[str, Any]) -> dict[str, Any]:
    """An operation for the template, without the errors that all operations share (components)."""
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
    """A function that gives the address of a path of the register, at the view's time unless `at` is given."""

    def to(path: str = "", **params: object) -> str:
        query = {"at": view.at if view else None} | params
        given = {name: value for name, value in query.items() if value is not None}
        address = (view.base if view else "") + path or "/"
        return f"{address}?{urlencode(given)}" if given else address

    return to
