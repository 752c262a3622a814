"""Incident 19: probes bypassed what users used.

An end-to-end probe by public addresses alone: append, and see it in the mirror's copy through the read API, and prove
it offline.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from mintmark.cli.run.up import sample_files
from tests.support.up import mintmark, up

if TYPE_CHECKING:
    from pathlib import Path

ITEM = {"planet": "sedna", "name": "Sedna", "kind": "dwarf-planet"}


@pytest.mark.e2e
def test_what_is_appended_is_read_back_through_the_mirror_and_proven_offline(tmp_path: Path) -> None:
    (sample,) = [file for file in sample_files() if file.stem == "planet"]
    with up(tmp_path / "up", "--mirrors", "1", "--register", sample) as running:
        http, grpc = running.ready["http"], running.ready["grpc"]
        (tmp_path / "planet.vkey").write_text(running.ready["registers"]["planet"]["vkey"] + "\n")
        size = running.ready["registers"]["planet"]["size"]
        public = ("--grpc", grpc, "--http", http, "--vkey", tmp_path / "planet.vkey")
        appended = mintmark(
            *("append", "planet", "--key", "sedna", "--item", json.dumps(ITEM), "--json"),
            *(*public, "--token", tmp_path / "up" / "token"),
        )
        assert appended.returncode == 0, appended.stderr
        assert seen(f"{http}/planet/records/sedna.json")["sedna"]["item"] == [ITEM]
        proof, entry = tmp_path / "sedna.tlog-proof", tmp_path / "sedna.entry"
        proven = mintmark("prove", "planet", "--record", "sedna", "-o", proof, "--entry-out", entry, "--json", *public)
        assert proven.returncode == 0, proven.stderr
        assert json.loads(proven.stdout)["index"] == size
        served = urlopen(f"{http}/planet/records/sedna.proof", timeout=10).read()
        audited = mintmark("audit", "planet", "--full", "--state", tmp_path / "state", *public)
        assert audited.returncode == 0, audited.stderr
    # Nothing runs any more: what is left are the files, and the log's key.
    assert check(proof, entry, tmp_path) == 0
    (tmp_path / "served.tlog-proof").write_bytes(served)
    assert check(tmp_path / "served.tlog-proof", entry, tmp_path) == 0
    entry.write_bytes(entry.read_bytes().replace(b"sedna", b"sedno"))
    assert check(proof, entry, tmp_path) == 3


def check(proof: Path, entry: Path, directory: Path) -> int:
    """The exit code of `mintmark verify`."""
    return mintmark("verify", proof, "--entry", entry, "--vkey", directory / "planet.vkey").returncode


def seen(url: str) -> dict[str, dict[str, object]]:
    """What the read API answers, once the mirror has it."""
    for _ in range(200):
        try:
            with urlopen(url, timeout=10) as answer:
                return json.load(answer)  # type: ignore[no-any-return]
        except HTTPError as error:
            if error.code != 404:
                raise
            time.sleep(0.1)
    pytest.fail(f"{url} was never there")
