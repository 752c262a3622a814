"""The house holds: imports run downward, libraries stay in their rooms, and a name stands for one thing.

docs/architecture.md draws the rooms. An import counts wherever it stands: at the top, in a function, for types only.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import pytest

from mintmark.cli.main import COMMANDS
from tests.support.source_tree import FILES, IMPORTS, LIBRARIES, OUR_IMPORTS, TEXTS, constants, is_number, module, room

# From bottom to top: a room imports only rooms that stand before it.
ORDER = (
    *("errors", "files", "aio", "telemetry", "tlog", "register", "formats", "rpc", "sources", "store", "postgres"),
    *("auth", "mint", "mirror", "fsck", "publish", "api", "client", "config", "cli", "__init__", "__main__"),
)
PURE = ("tlog", "register", "formats")
IMPURE = {
    *("asyncio", "concurrent", "http", "logging", "pathlib", "random", "select", "shutil", "signal", "socket", "ssl"),
    *("subprocess", "tempfile", "threading", "time", "urllib"),
}

# The rooms, or files, that may import a library that is not Python's own.
LIBRARY_ROOMS = {
    "click": {"cli"},
    "cryptography": {"tlog"},
    "google": {"rpc", "mint/service.py", "sources/grpc.py"},
    "grpc": {"rpc", "sources/grpc.py", "auth", "mint/server.py", "mint/service.py", "mirror/server.py"},
    "grpc_health": {"rpc"},
    "grpc_reflection": {"rpc"},
    "httptools": {"api"},
    "httpx": {"sources", "client"},
    "jinja2": {"api"},
    "markdown_it": {"api"},
    "markupsafe": {"api"},
    "obstore": {"publish", "cli/operate/publish.py"},  # there for its type only
    "opentelemetry": {"telemetry"},
    "orjson": {"register", "formats", "store", "fsck", "api", "client"},
    "prometheus_client": {"telemetry"},
    "psycopg": {"store"},
    "psycopg_pool": {"store"},
    "pydantic": {"config"},
    "pydantic_settings": {"config"},
    "pymerkle": {"client"},
    "rich": {"cli"},
    "starlette": {"api"},
    "structlog": {"telemetry", "mint", "mirror", "api", "cli"},
    "tenacity": {"aio", "client"},
    "uvicorn": {"api"},
    "uvloop": {"cli"},
}
# Who speaks protobuf: the wire, its clients, and the shells that put services on a server.
STUBS = {
    *("rpc", "sources/grpc.py", "client/mint_client.py", "auth/interceptor.py"),
    *("mint/service.py", "mint/server.py", "mirror/server.py"),
}
ENVIRONMENT = {"tlog/kernel.py", "mirror/aws.py"}  # a build's choice; a function whose only settings it is

# A number's name says what it counts or bounds, in two words or more. These name themselves: exit codes, and the
# signature types of C2SP signed notes.
NUMBERS = {"cli/exits.py": {"OK", "ERROR", "USAGE", "LIED", "INTERRUPTED"}, "tlog/keys.py": {"COSIGNATURE", "ECDSA"}}
UNTELLING = {
    *("AGAIN", "AHEAD", "AT_ONCE", "EVERY", "FEW", "HEAD", "ITEMS", "KEPT", "LARGE", "LITTLE", "LOOK", "MANY", "MOST"),
    *("PATIENCE", "SELDOM"),
}

SHORT_FILE_LINES, MAX_SHORT_FILES = 60, 20  # few doors that lead to little


def test_every_room_has_its_place() -> None:
    assert {room(file) for file in FILES} == set(ORDER)


def test_imports_run_downward() -> None:
    below = {each: set(ORDER[: ORDER.index(each) + 1]) for each in ORDER}
    version = {"__init__.py"}  # anybody may ask for it
    found = {(file, room(of)) for file, ours in OUR_IMPORTS.items() for of in ours - version}
    assert {f"{file} -> {of}" for file, of in found if of not in below[room(file)]} == set()


def test_no_two_files_import_each_other() -> None:
    try:
        TopologicalSorter(OUR_IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("of", sorted(PURE))
def test_a_pure_room_does_no_io(of: str) -> None:
    assert {file: found for file in FILES if room(file) == of and (found := LIBRARIES[file] & IMPURE)} == {}


def test_a_library_is_imported_in_its_rooms_only() -> None:
    found = {
        f"{library} in {file}"
        for library, places in LIBRARY_ROOMS.items()
        for file in FILES
        if library in LIBRARIES[file] and not {room(file), file} & places
    }
    assert found == set()


def test_every_library_has_its_rooms() -> None:
    foreign = set().union(*LIBRARIES.values()) - sys.stdlib_module_names
    assert foreign <= LIBRARY_ROOMS.keys()


def test_protobuf_stays_in_the_shells() -> None:
    found = {file for file in FILES if any("mintmark_pb" in each for each in IMPORTS[file])}
    assert {file for file in found if not {room(file), file} & STUBS} == set()


def test_nobody_below_the_command_line_reads_the_environment() -> None:
    readers = {
        file
        for file, tree in FILES.items()
        if {"environ", "getenv"} & {getattr(node, "attr", "") for node in ast.walk(tree)}
    }
    assert {file for file in readers if room(file) not in ("cli", "config")} <= ENVIRONMENT


def test_a_command_is_imported_through_the_table_only() -> None:
    commands = {f"mintmark.cli.{where.partition(':')[0]}" for where, _ in COMMANDS.values()}
    found = {f"{file} -> {each}" for file in FILES for each in IMPORTS[file] & commands}
    assert found == set()


def test_every_command_stands_in_the_table() -> None:
    tables = {f"mintmark.cli.{where.partition(':')[0]}" for where, _ in COMMANDS.values()}
    assert {module(file) for file in FILES if "click.command" in ast.unparse(FILES[file])} == tables


def test_few_files_are_short() -> None:
    files = {file: len(text.splitlines()) for file, text in TEXTS.items() if "__" not in file}
    short = [file for file, lines in files.items() if lines < SHORT_FILE_LINES]
    assert len(short) <= MAX_SHORT_FILES, short


def test_a_class_name_stands_for_one_thing() -> None:
    places = defaultdict(set)
    for file, tree in FILES.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].add(file)
    assert {each for each, files in places.items() if len(files) > 1} == set()


def test_a_constant_says_what_it_bounds() -> None:
    found = {
        (file, each)
        for file, tree in FILES.items()
        for each, value in constants(tree)
        if each in UNTELLING or (is_number(value) and "_" not in each.strip("_") and each.isalpha())
    }
    assert {f"{file}: {each}" for file, each in found if each not in NUMBERS.get(file, ())} == set()
