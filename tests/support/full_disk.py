"""What incident 6 runs in a mount namespace of its own: a Postgres on a disk that is full, and then is not.

python -m tests.incidents.full_disk DIRECTORY       prints what came of it, as JSON
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

DISK = "size=192m"
LEFT = [0, 3, 18]  # MiB: what the full disk still has decides which write fails
BATCH = [os.urandom(4000) for _ in range(250)]  # 1 MB


async def main(directory: Path) -> None:
    """Fills the disk again and again; every acknowledged entry has to be there when it has room."""
    disk = directory / "disk"
    disk.mkdir()
    await asyncio.to_thread(subprocess.run, ["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", disk], check=True)
    disk.chmod(0o711)
    server = EmbeddedServer(disk / "postgres")
    await server.start(["mint"])
    database = server.conninfo("mint")
    await migrate(database, "mint")
    keys, told = Keys(directory / "keys"), []
    size = 0
    async with keys.logs(database, database_timeout=0.2, pool_timeout=1.0) as logs:
        await logs.create(ORIGIN, "opaque", False)
        for left in LEFT:
            fill(disk, left)
            size, said = await until_refused(logs, size)
            told.append(said)
            (disk / "filler").unlink()
            size = await until_taken(logs, server, size)
        assert await check_log(database, ORIGIN, keys.verifiers()) == size
    await server.stop()
    print(json.dumps({"size": size, "told": told}))


def fill(disk: Path, left: int) -> None:
    """Leaves so many MiB on the disk."""
    free = os.statvfs(disk)
    with (disk / "filler").open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, max(free.f_bavail * free.f_bsize - left * 2**20, 1))


async def until_refused(logs: Logs, size: int) -> tuple[int, str]:
    """Appends until the disk is full; the acknowledged size, and what the client was told."""
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
    """Appends one batch, with the same request id until it is taken; the server is started again where it ended."""
    log, asked = await logs.store.log(ORIGIN), request(BATCH)
    for _ in range(40):
        try:
            first = (await logs.append(log, asked)).first
        except MintmarkError:
            await restarted(server)
            continue
        # The batch that was refused may have been written all the same, and its client would have been told by a retry.
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
