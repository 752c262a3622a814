"""mint, mirror, mirror, audit: each copies the one before; the last is verified by the key of the first."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mintmark.client.mint_client import MintClient
from mintmark.tlog.cosignature import cosignatures
from mintmark.tlog.note import COSIGNATURE, generate_skey, open_note, parse_vkey
from tests.support.up import mintmark, up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.up import Up

pytestmark = pytest.mark.e2e
TIMEOUT_SECONDS = 60.0
ORIGIN = "registers.localhost/things"


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Up]:
    with up(tmp_path / "up", "--mirrors", "1", "--no-samples") as running:
        created = running.run("create", "things", "--kind", "opaque")
        assert created.returncode == 0, created.stderr
        yield running


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mirror:
    """A `mintmark mirror` that serves its copies and cosigns them."""

    def __init__(self, directory: Path, database: str, source: str, trust: Path) -> None:
        directory.mkdir()
        self.address, self.cosigner = (
            f"127.0.0.1:{free_port()}",
            generate_skey(f"{directory.name}.example", COSIGNATURE),
        )
        (directory / "key").write_text(f"{self.cosigner.skey}\n")
        values = {
            "database": database,
            "sources": [source],
            "trust": str(trust),
            "listen": self.address,
            "key": str(directory / "key"),
        }
        self.config, self.log = directory / "mirror.toml", directory / "log"
        self.config.write_text(
            "[mirror]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        )

    @contextmanager
    def running(self, stop: int = signal.SIGTERM) -> Iterator[subprocess.Popen[bytes]]:
        with self.log.open("ab") as log:
            command = (sys.executable, "-P", "-m", "mintmark", "mirror", "--config", str(self.config))
            process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ)
        try:
            yield process
            assert process.poll() is None, self.log.read_text()
        finally:
            process.send_signal(stop)
            process.wait(30)


def append(origin: Up, count: int) -> int:
    """Appends lines, an entry each; returns the size afterwards."""
    lines = "".join(f"{os.urandom(12).hex()}\n" for _ in range(count))
    done = origin.run("append", "things", "--json", input=lines)
    assert done.returncode == 0, done.stderr
    return int(json.loads(origin.run("checkpoint", "things", "--json").stdout)["size"])


def note_of(address: str, origin: str) -> bytes:
    """The newest checkpoint's note, byte for byte."""

    async def ask() -> bytes:
        async with MintClient(address) as client:
            return await client.checkpoint(origin)

    return asyncio.run(ask())


def reaches(mirror: Mirror, vkey: str, size: int) -> None:
    """Waits until a mirror serves this size."""
    end = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < end:
        said = mintmark("checkpoint", "things", "--json", "--grpc", mirror.address, "--vkey", vkey)
        if said.returncode == 0 and json.loads(said.stdout)["size"] == size:
            return
        time.sleep(0.2)
    raise AssertionError(mirror.log.read_text())


def test_a_chain_of_mirrors(origin: Up, new_database: Callable[[str], str], tmp_path: Path) -> None:
    trust = origin.directory / "trust"
    vkey = (trust / "things.vkey").read_text().strip()
    middle = Mirror(tmp_path / "middle", new_database("read"), origin.ready["grpc"], trust)
    last = Mirror(tmp_path / "last", new_database("read"), middle.address, trust)
    audit = ("audit", "things", "--full", "--grpc", last.address, "--vkey", vkey, "--state", tmp_path / "state")
    with last.running():
        with middle.running(signal.SIGKILL):
            reaches(last, vkey, append(origin, 1000))
            assert mintmark(*audit).returncode == 0
        append(origin, 700)
        with middle.running():
            reaches(last, vkey, append(origin, 1))
            assert mintmark(*audit).returncode == 0
            theirs, ours = (note_of(address, ORIGIN) for address in (origin.ready["grpc"], last.address))
    log, cosigner = parse_vkey(vkey), parse_vkey(last.cosigner.vkey)
    assert ours.startswith(theirs)  # the origin's text and signature, unchanged
    opened = open_note(ours, [log, cosigner])
    assert {signature.name for signature in opened.verified} == {log.name, cosigner.name}
    assert cosignatures(opened, [cosigner])[cosigner] > 0
