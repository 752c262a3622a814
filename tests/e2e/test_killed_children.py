"""A child of `up` is killed during an import: it comes back, and every acknowledged entry is there, once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.up import mintmark, up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.up import Up

REGISTERS = Path(__file__).parents[2].parent / "shared" / "registers"
FILE = REGISTERS / "statistical-geography.rsf"
TIMEOUT_SECONDS = 90.0

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not FILE.exists(), reason=f"the published registers are not at {REGISTERS}"),
]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Up]:
    with up(tmp_path / "up", "--no-samples") as deployment:
        assert deployment.run("create", FILE.stem).returncode == 0
        yield deployment


def descendants(pid: int) -> Iterator[tuple[int, str]]:
    """Process ids and command lines."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        yield int(child), line
        yield from descendants(int(child))


def kill(deployment: Up, victim: str) -> None:
    """Sends SIGKILL to the first child whose command line contains `victim`."""
    pid = next(pid for pid, line in descendants(deployment.process.pid) if victim in line)
    os.kill(pid, signal.SIGKILL)


def settled(deployment: Up, size: int) -> bool:
    """True if the copies have reached this size, and nothing is wrong with them."""
    said = deployment.run("status", "--json")
    logs = json.loads(said.stdout)["logs"] if said.returncode == 0 else []
    return [(log["head"], log["state"]) for log in logs] == [(size, "current")]


@pytest.mark.parametrize("victim", ["mintmark mint", "mintmark mirror", "bin/postgres"])
def test_a_killed_child_loses_nothing(running: Up, victim: str, tmp_path: Path) -> None:
    ended = threading.Event()

    def disturb() -> None:
        while not ended.wait(0.7):
            kill(running, victim)
            ended.wait(2.0)

    killer = threading.Thread(target=disturb)
    killer.start()
    command = [sys.executable, "-P", "-m", "mintmark", "import", FILE.stem, str(FILE), "--legacy", "--dir"]
    codes = []
    try:
        while not codes or codes[-1] != 0:  # an import that was cut off is run again
            codes.append(
                subprocess.run([*command, running.directory], capture_output=True, timeout=TIMEOUT_SECONDS).returncode
            )
            assert codes[-1] in (0, 4), codes
            assert len(codes) < 30
    finally:
        ended.set()
        killer.join()
    golden = json.loads((REGISTERS / "golden-roots.json").read_bytes())[FILE.name]
    size, end = golden["user_entries"] + golden["system_entries"], time.monotonic() + TIMEOUT_SECONDS
    while not settled(running, size):
        assert time.monotonic() < end, running.run("status").stdout
        time.sleep(0.5)
    audited = running.run("audit", FILE.stem, "--full", "--second-opinion")
    assert audited.returncode == 0, audited.stderr
    assert (
        mintmark(
            "export", FILE.stem, "--format", "rsf", "-o", tmp_path / "out.rsf", "--dir", running.directory
        ).returncode
        == 0
    )
    last = (tmp_path / "out.rsf").read_bytes().splitlines()[-1]
    assert last == b"assert-root-hash\t" + golden["root_hash_v1"].encode()
