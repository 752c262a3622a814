"""Appending over gRPC: patient with a mint that is busy or away, and sure that nothing is appended twice.

Every batch has a request id, and is sent again with the same one until it is answered. The answer's checkpoint is
verified: signed, grown from the last one seen, and covering the batch.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mintmark.client.download import accept, get_head
from mintmark.errors import Busy, NotFound, ProofError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from mintmark.cli.options import TrustedLog
    from mintmark.rpc.client import AppendAnswer, RpcClient
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import LogVerifier

T = TypeVar("T")

PATIENCE = 60.0  # seconds to go on trying while a mint is away
PAUSE = 0.5  # seconds between attempts
BATCH_ENTRIES, BATCH_BYTES = 4096, 4 * 2**20  # a batch ends before either is passed


class Imported(NamedTuple):
    """How many entries of a file were appended, how many were there already, and the verified head after them."""

    appended: int
    present: int
    head: Checkpoint


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """The answer of a call that is safe to repeat, through the outages and the queues of a minute.

    It comes again no sooner than it was told, and with jitter: those refused together do not come back together.
    """
    until = monotonic() + PATIENCE
    while True:
        try:
            return await call()
        except (Busy, Unavailable) as error:
            pause = (error.retry_after if isinstance(error, Busy) else PAUSE) * random.uniform(1, 1.5)  # noqa: S311
            if monotonic() + pause > until:
                raise
            await asyncio.sleep(pause)


async def head_to_grow(client: RpcClient, log: TrustedLog) -> Checkpoint:
    """The verified head that an import goes on from. Raises NotFound where the log was never made."""
    try:
        return await patiently(lambda: get_head(client, log))
    except NotFound as error:
        raise NotFound(f"{error}; `mintmark create {log.origin}` makes it") from error


async def send(
    client: RpcClient, trusted: LogVerifier, call: Callable[[], Awaitable[AppendAnswer]]
) -> tuple[AppendAnswer, Checkpoint]:
    """Sends a batch; the answer, and its checkpoint when that is verified. Raises Untrusted for an answer that lies."""
    appended = await patiently(call)
    head = await patiently(lambda: accept(client, trusted, appended.note))
    if appended.first < 0 or appended.first + appended.count > head.size:
        raise ProofError("the mint acknowledged entries that its checkpoint does not cover", appended.note)
    return appended, head


def batches(rows: Iterable[T], first: int, size: Callable[[T], int]) -> Iterator[tuple[int, list[T]]]:
    """Cuts rows into batches, each with the position of its first row; the same rows are always cut alike."""
    batch: list[T] = []
    total = 0
    for row in rows:
        if batch and (len(batch) == BATCH_ENTRIES or total + size(row) > BATCH_BYTES):
            yield first, batch
            first, batch, total = first + len(batch), [], 0
        batch.append(row)
        total += size(row)
    if batch:
        yield first, batch


def derived_id(origin: str, *content: bytes) -> bytes:
    """The request id of a batch of an import: the same when the import is run again, so that nothing comes in twice.

    `content` says what is appended, and where: the same may have to come in again, one day, elsewhere.
    """
    digest = hashlib.sha256(f"mintmark import\n{origin}\n".encode())
    for part in content:
        digest.update(hashlib.sha256(part).digest())
    return digest.digest()[:16]
