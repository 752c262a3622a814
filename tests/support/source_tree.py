"""The files of src/mintmark, parsed: what each imports, and the constants of each."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parents[2] / "src" / "mintmark"

# By path below src/mintmark; generated stubs are left out.
TEXTS = {
    file.relative_to(SOURCE).as_posix(): file.read_text()
    for file in sorted(SOURCE.rglob("*.py"))
    if "mintmark_pb" not in file.parts
}
FILES = {file: ast.parse(text) for file, text in TEXTS.items()}


def module(file: str) -> str:
    """The dotted name of a file's module."""
    return f"mintmark.{file.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__")


def room(file: str) -> str:
    """The package below mintmark, or the module, in which a file stands."""
    return file.split("/")[0].removesuffix(".py")


MODULES = {module(file): file for file in FILES}


def imported(tree: ast.AST) -> set[str]:
    """The modules that a file imports anywhere; `from package import module` is an import of the module."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            within = [f"{node.module}.{alias.name}" for alias in node.names]
            names |= {full if full in MODULES else str(node.module) for full in within}
    return names


IMPORTS = {file: imported(tree) for file, tree in FILES.items()}
OUR_IMPORTS = {file: {MODULES[each] for each in names if each in MODULES} for file, names in IMPORTS.items()}
LIBRARIES = {file: {each.split(".")[0] for each in names} - {"mintmark"} for file, names in IMPORTS.items()}


def constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The upper-case names of a module, and their values."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            yield from _named(target, node.value)  # type: ignore[attr-defined]


def _named(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for each, of in zip(target.elts, value.elts, strict=True):
            yield from _named(each, of)
    elif isinstance(target, ast.Name) and target.id.isupper():
        yield target.id, value


def is_number(value: ast.expr) -> bool:
    """True for a literal number and for sums, products and powers of them."""
    if isinstance(value, ast.BinOp):
        return is_number(value.left) and is_number(value.right)
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)
