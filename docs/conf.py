"""How Sphinx makes the site: pages in Markdown, the commands from click, the Python reference from docstrings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mintmark import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

SOURCE = Path(__file__).parents[1] / "src" / "mintmark"
PYTHON_PAGE = "python"
SECTION = re.compile(r"(Args|Raises|Returns|Yields|Attributes|Examples?):")
ROOMS = {"client": "The client", "tlog": "Transparency logs", "register": "Registers", "formats": "Kinds of logs"}

project, author, release = "Mintmark", "the Mintmark authors", __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "none"  # the signature has them
autodoc_member_order = "bysource"
default_role = "code"  # docstrings write `code` in single backticks
smartquotes = False  # --option stays --option
html_title = f"Mintmark {release}"
html_theme_options = {"description": "Verifiable registers, mirrored into anybody's Postgres", "page_width": "1100px"}
html_show_copyright = False
html_copy_source = False


def setup(app: Sphinx) -> None:
    """Adds the Python reference, and makes docstrings reStructuredText."""
    app.connect("source-read", add_python_reference)
    app.connect("autodoc-process-docstring", literal_blocks, priority=100)  # before napoleon reads sections


def add_python_reference(_app: Sphinx, page: str, source: list[str]) -> None:
    """Ends the page with every public module of the rooms that a program may use."""
    if page == PYTHON_PAGE:
        source[0] += "\n".join(reference(room, title) for room, title in ROOMS.items() if (SOURCE / room).is_dir())


def reference(room: str, title: str) -> str:
    """The section of one room, in MyST."""
    files = sorted((SOURCE / room).glob("[a-z]*.py"))
    modules = [f"mintmark.{room}", *(f"mintmark.{room}.{file.stem}" for file in files)]
    return "\n".join([f"## {title}", "", *(automodule(module) for module in modules)])


def automodule(module: str) -> str:
    """One module, with all of its public members."""
    return f"### `{module}`\n\n```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n```\n"


def literal_blocks(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Makes each indented block of a docstring a literal one: drawings and tables stay as they are written."""
    made: list[str] = []
    in_section = False
    for at, line in enumerate(lines):
        before = lines[at - 1] if at else ""
        in_section = in_section and (not line.strip() or line.startswith(" "))
        in_section = in_section or bool(
            re.fullmatch(r"(Args|Raises|Returns|Yields|Attributes|Example|Examples):", line)
        )
        if line.startswith("    ") and not before.strip() and not in_section and not _in_block(made):
            made += ["::", ""]
        made.append(line)
    lines[:] = made


def _in_block(made: list[str]) -> bool:
    """True where the last line that is not empty is indented already."""
    last = next((line for line in reversed(made) if line.strip()), "")
    return last.startswith("    ")
