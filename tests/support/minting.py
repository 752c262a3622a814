"""A mint for the incidents: its keys and tokens in a directory, in this process or as one that can be killed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from mintmark.auth.tokens import RIGHTS, format_token
from mintmark.client.mint_client import MintClient
from mintmark.mint.keys import KeyDirectory
from mintmark.mint.logs import Logs
from mintmark.mint.pool import AppendPool
from mintmark.mint.server import running_mint
from mintmark.mint.validation import make_request
from mintmark.store.connection.pool import open_pool
from mintmark.store.mint.mint_store import MintStore
from mintmark.tlog import bundle
from mintmark.tlog.bundle import digest
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.kernel import leaf_hash
from mintmark.tlog.merkle import check_inclusion
from mintmark.tlog.note import generate_skey, parse_skey, parse_vkey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from mintmark.client.mint_client import AppendAnswer
    from mintmark.mint.validation import AppendRequest
    from mintmark.tlog.note import Verifier

TOKEN, ORIGIN = "the token of a test", "mint.example/things"


class Keys:
    """A mint's directory: a key for each origin, and a token with every right."""

    def __init__(self, directory: Path, *origins: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.tokens = directory, directory / "tokens.toml"
        for origin in origins or (ORIGIN,):
            (directory / f"{origin.rpartition('/')[2]}.key").write_text(f"{generate_skey(origin).skey}\n")
        self.tokens.write_text(format_token("test", TOKEN, RIGHTS))

    def verifiers(self, origin: str = ORIGIN) -> list[Verifier]:
        text = (self.directory / f"{origin.rpartition('/')[2]}.key").read_text()
        return [parse_vkey(parse_skey(line).vkey) for line in text.splitlines()]

    @asynccontextmanager
    async def minting(self, database: str, **settings: Any) -> AsyncIterator[MintClient]:
        """A client of a mint in this process; `settings` as of `running_mint`."""
        async with (
            running_mint(database, "127.0.0.1:0", self.directory, self.tokens, **settings) as mint,
            MintClient(mint.address, token=TOKEN) as client,
        ):
            yield client

    @asynccontextmanager
    async def logs(
        self, database: str, clock: Callable[[], float] = time.time, pool_timeout: float = 10.0, **settings: Any
    ) -> AsyncIterator[Logs]:
        """A mint's logs without a server; `settings` as of `Logs`."""
        events: list[tuple[str, str, str]] = []
        async with open_pool(database, 4, pool_timeout) as pool:
            logs = Logs(
                MintStore(pool),
                AppendPool(),
                KeyDirectory(self.directory),
                clock=clock,
                on_event=lambda *event: events.append(event),
                **settings,
            )
            logs.events = events  # type: ignore[attr-defined]  # which the shell would log
            try:
                yield logs
            finally:
                await logs.close()


class MintProcess:
    """`mintmark mint` on a port that stays the same across restarts."""

    def __init__(self, keys: Keys, database: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.config = keys.directory / "mintmark.toml"
        values = {"database": database, "listen": self.address, "keys": str(keys.directory), "tokens": str(keys.tokens)}
        self.config.write_text("[mint]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "mintmark", "mint", "--config", str(self.config)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=os.environ,
        )

    async def kill(self) -> None:
        """SIGKILL: nothing is finished, nothing is closed."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    def memory(self) -> int:
        """Bytes resident."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def request(entries: Sequence[bytes], id: bytes | None = None) -> AppendRequest:
    """An append of these entries to an opaque log."""
    joined = bundle.join(entries)
    return make_request(id or os.urandom(16), joined, b"", digest(joined, b""), may_erase=False, legacy=False)


async def append(
    client: MintClient, entries: Sequence[bytes], origin: str = ORIGIN, id: bytes | None = None
) -> AppendAnswer:
    """Appends to an opaque log, once."""
    return await client.append(origin, id or os.urandom(16), bundle.join(entries))


async def check_provable(
    client: MintClient, entries: dict[int, bytes], verifiers: Sequence[Verifier], origin: str = ORIGIN
) -> None:
    """Every one of these entries is where it was said to be, by a proof under the present head."""
    head = open_checkpoint(await client.checkpoint(origin), origin, verifiers)
    for index, entry in entries.items():
        proven = await client.inclusion(origin, index=index, size=head.size)
        check_inclusion(index, head.size, leaf_hash(entry), proven.proof, head.root)
