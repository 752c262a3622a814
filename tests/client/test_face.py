"""The library's face: what it offers, and what it does not load before it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import mintmark
from mintmark import errors
from mintmark.client.client import AsyncClient
from mintmark.client.log import AsyncLog
from mintmark.client.register import AsyncRegister
from mintmark.client.sync import Client, SyncLog, SyncRegister

HEAVY = {"grpc", "google", "psycopg", "psycopg_pool", "starlette", "httpx", "pydantic", "rich", "click"}


def loaded_by(statement: str) -> set[str]:
    """The top-level and our own modules in a fresh process after a statement."""
    script = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    return {name.split(".")[0] for name in names} | {name for name in names if name.startswith("mintmark.")}


@pytest.mark.parametrize(
    "statement", ["from mintmark import Client, AsyncClient, verify", "import mintmark.client.log"]
)
def test_the_library_loads_no_server_and_no_wire_before_it_connects(statement: str) -> None:
    assert not loaded_by(statement) & HEAVY


def test_verify_loads_next_to_nothing() -> None:
    ours = {name for name in loaded_by("import mintmark; mintmark.verify") if name.startswith("mintmark.")}
    assert ours == {"mintmark.errors", "mintmark.client", "mintmark.client.proofs"}


def test_verify_is_there_in_100_ms() -> None:
    script = "from time import perf_counter as now; t = now(); import mintmark; mintmark.verify; print(now() - t)"
    seconds = [float(subprocess.check_output([sys.executable, "-c", script])) for _ in range(5)]
    assert min(seconds) < 0.1


def test_verifying_loads_no_wire_and_no_database() -> None:
    call = "from mintmark import Malformed, verify\ntry: verify(b'', b'', keys=())\nexcept Malformed: pass"
    assert not loaded_by(call) & HEAVY


def test_the_help_of_the_command_line_loads_nothing_of_the_client() -> None:
    loaded = loaded_by("from mintmark.cli.main import main; main(['--help'])")
    assert not {name for name in loaded if name.startswith("mintmark.client")}


def test_every_name_is_there_and_documented() -> None:
    for name in mintmark.__all__:
        assert getattr(mintmark, name).__doc__, name
    assert set(mintmark.__all__) <= set(dir(mintmark))
    known = {name for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert known <= set(mintmark.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        mintmark.nothing  # noqa: B018


ONLY_ASYNC = {"chunks", "follow"}  # for programs that write files; and of several logs
TUNING = {"step", "max_batch_entries"}


@pytest.mark.parametrize(
    ("asynchronous", "synchronous"), [(AsyncClient, Client), (AsyncLog, SyncLog), (AsyncRegister, SyncRegister)]
)
def test_the_synchronous_face_has_the_same_calls(asynchronous: type, synchronous: type) -> None:
    def calls(kind: type) -> dict[str, list[str]]:
        functions = {name: member for name, member in vars(kind).items() if not name.startswith("_")}
        return {
            name: [parameter for parameter in inspect.signature(member).parameters if parameter not in TUNING]
            for name, member in functions.items()
            if inspect.isfunction(member)
        }

    there, here = calls(asynchronous), calls(synchronous)
    assert {name: there[name] for name in here} == here
    assert set(there) - set(here) <= ONLY_ASYNC
