"""Numbers, times and Markdown, as people read them.

Text that came from a register is hostile. Markdown is rendered with raw HTML off and without images or script links;
what it makes is the one markup here that a template does not escape.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markupsafe import Markup

if TYPE_CHECKING:
    from mintmark.api.models import View

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable("image")


def markdown(text: str) -> Markup:
    """A text field's value as HTML; its headings are below those of the page."""
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = "h4"
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "nofollow noopener noreferrer")
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S704  # made by the renderer, escaped


def number(value: int) -> str:
    """12,345."""
    return f"{value:,}"


def day(timestamp: str) -> str:
    """5 April 2016, of an entry's timestamp."""
    moment = datetime.fromisoformat(timestamp)
    return f"{moment.day} {moment:%B %Y}"


def clock(timestamp: str) -> str:
    """13:23 UTC."""
    return f"{timestamp[11:16]} UTC"


def sentence(text: str) -> str:
    """An error's words, as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def plural(count: int, one: str, many: str) -> str:
    """`1 record`, `2 records`."""
    return f"{number(count)} {one if count == 1 else many}"


def as_of(view: View) -> str:
    """What time the reader is at: a size, the end of a day, or a moment."""
    at = view.at or ""
    if at.isdecimal():
        return f"size {number(view.size)}" + (f" ({day(view.updated)})" if view.updated else "")
    return f"the end of {day(at)}" if "T" not in at else f"{day(at)}, {clock(at)}"


FILTERS = {"markdown": markdown, "number": number, "day": day, "clock": clock, "sentence": sentence}
