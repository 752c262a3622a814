"""A deployment whose processes can be killed: two Postgres servers, a mint and workers, all on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections import Counter
from typing import TYPE_CHECKING

from mintmark.auth.tokens import RIGHTS, format_token
from mintmark.config.deployment import DeploymentDir
from mintmark.postgres.server import EmbeddedServer
from mintmark.store.connection.migrate import migrate

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "a campaign's token"
WORKER_COUNT = 3
CONFIG = """
[mint]
database = {mint}
listen = "127.0.0.1:{port}"
keys = "mint/keys"
tokens = "mint/tokens.toml"

[mirror]
database = {read}
sources = ["127.0.0.1:{port}"]
trust = "trust"
"""


class Deployment:
    """Two Postgres servers, a mint and workers, as processes. A killed process is started again."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.home = directory, DeploymentDir(directory)
        self.postgres = {name: EmbeddedServer(directory / name) for name in ("mint-db", "read-db")}
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.kills: Counter[str] = Counter()
        self._down: set[str] = set()  # killed; `kill` starts them again
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    @property
    def mint_database(self) -> str:
        return self.postgres["mint-db"].conninfo("mint")

    @property
    def read_database(self) -> str:
        return self.postgres["read-db"].conninfo("read")

    @property
    def servers(self) -> list[str]:
        return ["mint", *(f"worker-{number}" for number in range(1, WORKER_COUNT + 1))]

    async def start(self) -> None:
        for directory in (self.home.keys, self.home.trust, self.home.logs):
            directory.mkdir(parents=True)
        await self.postgres["mint-db"].start(["mint"])
        await self.postgres["read-db"].start(["read"])
        await migrate(self.read_database, "read")
        self.home.tokens.write_text(format_token("campaign", TOKEN, RIGHTS))
        values = {"mint": json.dumps(self.mint_database), "read": json.dumps(self.read_database), "port": self.port}
        self.home.config.write_text(CONFIG.format(**values))
        for name in self.servers:
            await self.launch(name)

    async def launch(self, name: str) -> None:
        """Starts one of the servers."""
        if name in self.postgres:
            await self.postgres[name].start()
            return
        command = "mint" if name == "mint" else "mirror"
        with (self.home.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "mintmark", command, "--config", str(self.home.config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ,
            )

    async def kill(self, name: str, pause: float) -> None:
        """SIGKILL, a pause, and a new start."""
        self._down.add(name)
        process = self.postgres[name]._process if name in self.postgres else self.processes[name]
        assert process is not None
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        self.kills[name] += 1
        await asyncio.sleep(pause)
        await self.launch(name)
        self._down.discard(name)

    async def restart_ended(self) -> None:
        """Starts servers again that ended by themselves, for want of their database: what a service manager does."""
        while True:
            for name, process in list(self.processes.items()):
                if process.returncode is not None and name not in self._down:
                    await self.launch(name)
            await asyncio.sleep(0.5)

    async def stop(self) -> None:
        for process in self.processes.values():
            if process.returncode is None:
                process.terminate()
        for process in self.processes.values():
            await process.wait()
        for server in self.postgres.values():
            await server.stop()
