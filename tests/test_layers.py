"""Imports run strictly downward: cli -> {mint, mirror, api} -> {store, rpc} -> register -> tlog -> errors."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mintmark"

# What each part may import of ours beside itself.
ALLOWED = {
    "errors": set(),
    "tlog": {"errors"},
    "register": {"errors", "tlog"},
    "store": {"errors", "tlog", "register"},
    "rpc": {"errors", "tlog", "register"},
    "mint": {"errors", "tlog", "register", "store", "rpc"},
    "mirror": {"errors", "tlog", "register", "store", "rpc"},
    "api": {"errors", "tlog", "register", "store", "rpc"},
    "config": {"errors"},
    "cli": {"errors", "tlog", "register", "store", "rpc", "mint", "mirror", "api", "config"},
    "__main__": {"cli"},
    "__init__": set(),
}
PURE = {"tlog", "register"}
IMPURE = {"asyncio", "grpc", "psycopg", "google", "logging", "structlog", "time", "socket", "pathlib", "subprocess"}
ENVIRONMENT = {"tlog/kernel.py", "mirror/aws.py"}  # a build's choice; a function whose only settings it is

FILES = [file for file in sorted(SOURCE.rglob("*.py")) if "mintmark_pb" not in file.parts]


def part(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} if node.module != "mintmark" else {f"mintmark.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_run_downward(file: Path) -> None:
    ours = {name.split(".")[1] for name in imported(file) if name.startswith("mintmark.")}
    assert ours - {"__version__"} <= ALLOWED[part(file)] | {part(file)}


@pytest.mark.parametrize("file", [file for file in FILES if part(file) in PURE], ids=lambda file: file.name)
def test_the_core_does_no_io(file: Path) -> None:
    assert not {name.split(".")[0] for name in imported(file)} & IMPURE


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_only_the_store_speaks_to_postgres(file: Path) -> None:
    assert part(file) == "store" or not {"psycopg", "psycopg_pool"} & {name.split(".")[0] for name in imported(file)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_nobody_below_the_command_line_reads_the_environment(file: Path) -> None:
    if part(file) in ("cli", "config") or str(file.relative_to(SOURCE)) in ENVIRONMENT:
        return
    assert "environ" not in {getattr(node, "attr", "") for node in ast.walk(ast.parse(file.read_text()))}
