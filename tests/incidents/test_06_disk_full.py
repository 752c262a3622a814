"""Incident 6: disk full (Mammoth, 2024).

ENOSPC on one write or another: no acknowledged entry is lost, the refusal is clear, and once there is room the mint
goes on without any SQL written by hand.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMESPACE = ("unshare", "--mount", "--propagation", "private")


def able() -> str | None:
    """Why not, where no disk can be mounted."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return "only root can mount a small disk"
    tried = subprocess.run([*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    return None if tried.returncode == 0 else f"no disk can be mounted here: {tried.stderr.decode().strip()}"


async def test_a_full_disk_loses_nothing_and_the_mint_goes_on_when_it_has_room(tmp_path: Path) -> None:
    if (reason := able()) is not None:
        pytest.skip(reason)
    tmp_path.chmod(0o711)
    process = await asyncio.create_subprocess_exec(
        *NAMESPACE, sys.executable, "-m", "tests.support.full_disk", tmp_path,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    came = json.loads(out.splitlines()[-1])
    assert came["size"] >= 3 * 250
    for said in came["told"]:
        assert said.startswith("Unavailable: the database"), said
    assert any("disk is full" in said and "make room" in said for said in came["told"]), came["told"]
