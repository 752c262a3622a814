"""Template functions that know no register: numbers, times and Markdown for people, and two small drawings.

Text of a register is hostile. Markdown is rendered with raw HTML off and without images or script links; its output is
the one markup that a template does not escape. A register may have thousands of long texts, and a parser may look from
each mark to the end of its paragraph: so the work is counted before it is done, and a page has a bound of it.

sparkline   records over time, as steps, with a tick below at each point
coin        a root: 32 spokes around a rim, each as long as one of its bytes, so that two roots look different
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mintmark.api.models import Growth, View

SPARKLINE_WIDTH, SPARKLINE_HEIGHT, SPARKLINE_TOP = 600, 80, 4  # a sparkline's drawing, and the space above its line
INNER_RADIUS, OUTER_RADIUS, CENTRE_PX = 33.0, 47.0, 50.0  # a coin's spokes, in a drawing 100 by 100
SHORTEST_SPOKE = 3.0

MAX_MARKDOWN_STEPS = 1_000_000  # of one page; the slowest texts known take 0.1 µs a step
STEPS_OF_TEXT, STEPS_OF_LINE, STEPS_OF_CHARACTER = 1_000, 500, 10  # where nothing is looked for

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).disable("image")
_BLANK_LINE = re.compile(r"\n[ \t]*\n")  # no link or emphasis reaches over one
_MARKS = re.compile(r"[\[\]*_`<&!\\]")  # where the parser looks ahead, at most to the end of the paragraph


class PageMarkdown:
    """Markdown as HTML, for the texts of one page: those that would take more than `steps` are shown as written."""

    def __init__(self, steps: int = MAX_MARKDOWN_STEPS) -> None:
        self._left = steps

    def __call__(self, text: str) -> Markup:
        """The HTML of a text."""
        if (steps := markdown_steps(text)) > self._left:
            return Markup('<p class="text">{}</p>').format(text)
        self._left -= steps
        return markdown(text)


def markdown_steps(text: str) -> int:
    """A bound on the work of rendering a text: that of its lines, and each mark times the length of its paragraph."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    paragraphs = sum(len(part) * (STEPS_OF_CHARACTER + len(_MARKS.findall(part))) for part in _BLANK_LINE.split(text))
    return STEPS_OF_TEXT + STEPS_OF_LINE * text.count("\n") + paragraphs


def markdown(text: str) -> Markup:
    """Markdown as HTML, with headings below those of the page."""
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = "h4"
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "nofollow noopener noreferrer")
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))  # noqa: S704  # made by the renderer, escaped


def number(value: int) -> str:
    """A number with thousands separated: 12,345."""
    return f"{value:,}"


def day(timestamp: str) -> str:
    """The day of a timestamp: 5 April 2016."""
    moment = datetime.fromisoformat(timestamp)
    return f"{moment.day} {moment:%B %Y}"


def clock(timestamp: str) -> str:
    """The time of a timestamp: 13:23 UTC."""
    return f"{timestamp[11:16]} UTC"


def sentence(text: str) -> str:
    """A message as a sentence."""
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def plural(count: int, one: str, many: str) -> str:
    """A number with its noun: `1 record`, `2 records`."""
    return f"{number(count)} {one if count == 1 else many}"


def as_of(view: View) -> str:
    """The time of a view in words: a size, the end of a day, or a moment."""
    at = view.at or ""
    if at.isdecimal():
        return f"size {number(view.size)}" + (f" ({day(view.updated)})" if view.updated else "")
    return f"the end of {day(at)}" if "T" not in at else f"{day(at)}, {clock(at)}"


def sparkline(growth: Sequence[Growth]) -> str:
    """The points of a step line of the records over time, oldest first; "" for none."""
    if not growth:
        return ""
    times = [datetime.fromisoformat(point.timestamp).timestamp() for point in growth]
    most = max(point.records for point in growth) or 1
    since, lasts = times[0], (times[-1] - times[0]) or 1.0
    x = [SPARKLINE_WIDTH * (time - since) / lasts for time in times]
    y = [SPARKLINE_HEIGHT - (SPARKLINE_HEIGHT - SPARKLINE_TOP) * point.records / most for point in growth]
    steps = [(x[0], y[0])]
    for i in range(1, len(growth)):
        steps += [(x[i], y[i - 1]), (x[i], y[i])]
    steps.append((SPARKLINE_WIDTH, y[-1]))
    return " ".join(f"{left:.1f},{down:.1f}" for left, down in steps)


def ticks(growth: Sequence[Growth]) -> str:
    """A path with a tick below the line at each point."""
    return "".join(f"M{position(growth, point.index):.1f} {SPARKLINE_HEIGHT + 4}v6" for point in growth)


def position(growth: Sequence[Growth], index: int) -> float:
    """The x of entry `index` on a sparkline, 0 to SPARKLINE_WIDTH."""
    past = [point for point in growth if point.index <= index] or growth[:1]
    first, here, last = (
        datetime.fromisoformat(point.timestamp).timestamp() for point in (growth[0], past[-1], growth[-1])
    )
    return SPARKLINE_WIDTH * (here - first) / ((last - first) or 1.0)


def coin(root: bytes) -> list[tuple[str, str, str, str]]:
    """The spokes (x1, y1, x2, y2) of a root, in a drawing 100 by 100, clockwise from the top."""
    spokes = []
    for i, byte in enumerate(root):
        angle = 2 * math.pi * i / len(root)
        end = INNER_RADIUS + SHORTEST_SPOKE + (OUTER_RADIUS - INNER_RADIUS - SHORTEST_SPOKE) * byte / 255
        spokes.append((*_at(angle, INNER_RADIUS), *_at(angle, end)))
    return spokes


def _at(angle: float, radius: float) -> tuple[str, str]:
    return f"{CENTRE_PX + radius * math.sin(angle):.2f}", f"{CENTRE_PX - radius * math.cos(angle):.2f}"


FILTERS = {"number": number, "day": day, "clock": clock, "sentence": sentence}
