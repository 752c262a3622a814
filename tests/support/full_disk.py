"""A Postgres on a disk that is full, and then is not: incident 6 runs this in a mount namespace of its own.

python -m tests.support.full_disk DIRECTORY       prints the size of the log and the refusals, as JSON
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mintmark.errors import MintmarkError
from mintmark.postgres.server import EmbeddedServer
from mintmark.store.connection.migrate import migrate
from tests.support.minting import ORIGIN, Keys, request
from tests.support.oracle import check_log

if TYPE_CHECKING:
    from mintmark.mint.logs import Logs

DISK_OPTIONS = "size=192m"
FREE_MIB = [0, 3, 18]  # on the full disk: it decides which write fails
BATCH = [os.urandom(4000) for _ in range(250)]  # 1 MB


async def main(directory: Path) -> None:
    """Fills the disk again and again. Every acknowledged entry has to be there when the disk has room."""
    disk = directory / "disk"
    disk.mkdir()
    await asyncio.to_thread(subprocess.run, ["mount", "-t", "tmpfs", "-o", DISK_OPTIONS, "tmpfs", disk], check=True)
    disk.chmod(0o711)
    server = EmbeddedServer(disk / "postgres")
    await server.start(["mint"])
    database = server.conninfo("mint")
    await migrate(database, "mint")
    keys, refusals = Keys(directory / "keys"), []
    size = 0
    async with keys.logs(database, database_timeout=0.2, pool_timeout=1.0) as logs:
        await logs.create(ORIGIN, "opaque", False)
        for left in FREE_MIB:
            fill(disk, left)
            size, refusal = await until_refused(logs, size)
            refusals.append(refusal)
            (disk / "filler").unlink()
            size = await until_taken(logs, server, size)
        assert await check_log(database, ORIGIN, keys.verifiers()) == size
    await server.stop()
    print(json.dumps({"size": size, "told": refusals}))


def fill(disk: Path, left: int) -> None:
    """Fills the disk but for `left` MiB."""
    free = os.statvfs(disk)
    with (disk / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, max(free.f_bavail * free.f_bsize - left * 2**20, 1))


async def until_refused(logs: Logs, size: int) -> tuple[int, str]:
    """Appends until the disk is full; returns the acknowledged size, and the error that the client saw."""
    log = await logs.store.log(ORIGIN)
    for _ in range(300):
        try:
            first = (await logs.append(log, request(BATCH))).first
        except MintmarkError as error:
            return size, f"{type(error).__name__}: {error}"
        assert first == size
        size += len(BATCH)
    raise AssertionError("the disk was never full")


async def until_taken(logs: Logs, server: EmbeddedServer, size: int) -> int:
    """Appends one batch, under one request id, until it is taken. Starts the server again where it ended."""
    log, batch = await logs.store.log(ORIGIN), request(BATCH)
    for _ in range(40):
        try:
            first = (await logs.append(log, batch)).first
        except MintmarkError:
            await restarted(server)
            continue
        # The refused batch may have been written all the same; a retry would have told its client.
        assert first in (size, size + len(BATCH))
        return first + len(BATCH)
    raise AssertionError("the mint did not recover")


async def restarted(server: EmbeddedServer) -> None:
    try:
        await asyncio.wait_for(asyncio.shield(server.wait()), 0.5)
    except TimeoutError:
        return
    await server.start()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
