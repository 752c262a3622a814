"""docker-compose.yml, run without Docker: the same commands with the same settings; hosts become ports of this machine.

Images, volumes and networks are not tested here: only Docker can show them.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
SERVERS = ("mint", "mirror-1", "mirror-2", "api")

pytestmark = pytest.mark.e2e


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Compose:
    """The services as processes. `here` translates a host, a path or a connection string of the file."""

    def __init__(self, directory: Path, databases: dict[str, str]) -> None:
        self.ports = {"7070": free_port(), "8080": free_port()}
        self.directory, self.databases = directory, databases
        for name in ("mint", "trust", "log"):
            (directory / name).mkdir()

    def here(self, value: str) -> str:
        for host, conninfo in self.databases.items():
            value = re.sub(rf"postgresql://\S*@{host}/\S*", lambda _, c=conninfo: c, value)
        value = re.sub(r"(?:mint|0\.0\.0\.0):(\d+)", lambda match: f"127.0.0.1:{self.ports[match[1]]}", value)
        return re.sub(r"^/(mint|trust)", lambda match: str(self.directory / match[1]), value)

    def environment(self, service: str) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        places = {"MINT_DIR": str(self.directory / "mint"), "TRUST_DIR": str(self.directory / "trust")}
        asked = COMPOSE[service].get("environment", {})
        return {**os.environ, "PATH": path, **places, **{key: self.here(value) for key, value in asked.items()}}

    def start(self, service: str, stack: ExitStack) -> None:
        log = stack.enter_context((self.directory / "log" / service).open("w"))
        command = ["mintmark", *COMPOSE[service]["command"]]
        process = subprocess.Popen(command, env=self.environment(service), stdout=log, stderr=log)
        stack.callback(lambda: (process.terminate(), process.wait(30)))

    def once(self, service: str) -> None:
        command = ["sh", str(ROOT / "scripts" / "compose-setup"), *COMPOSE[service]["entrypoint"][2:]]
        done = subprocess.run(command, env=self.environment(service), capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr


def test_the_services_of_the_file_make_a_deployment(
    tmp_path: Path, new_database: Callable[[str | None], str]
) -> None:  # fmt: skip
    compose = Compose(tmp_path, {"mint-db": new_database(None), "read-db": new_database(None)})
    with ExitStack() as stack:
        compose.once("keys")
        for service in SERVERS:
            compose.start(service, stack)
        compose.once("samples")
        url = f"http://127.0.0.1:{compose.ports['8080']}/country/records/FR.json"
        assert json.loads(until_answered(url))["FR"]["item"][0]["name"] == "France"


def until_answered(url: str) -> bytes:
    for _ in range(100):
        try:
            with urllib.request.urlopen(url) as response:
                return bytes(response.read())
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"{url} never answered")


def test_nobody_but_the_mint_has_its_keys() -> None:
    readers = {
        name for name, service in COMPOSE.items() if any(v.startswith("mint:") for v in service.get("volumes", []))
    }
    assert readers == {"mint", "keys", "samples"}
