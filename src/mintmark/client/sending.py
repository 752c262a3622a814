"""Requests to a mint: sent until they are answered, and answered only by what is verified.

Each batch has a request id and is sent again with the same one, so that nothing is appended twice. An answer counts
once its checkpoint is verified: signed, grown from the last one seen, covering the batch.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import tenacity

from mintmark.client import download
from mintmark.errors import Busy, NotFound, ProofError, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import AppendAnswer, MintClient
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import LogVerifier

T = TypeVar("T")

RETRY_SECONDS = 60.0  # to go on trying while a mint is away
RETRY_PAUSE_SECONDS = 0.5  # between attempts, where the mint names no other time
MAX_BATCH_ENTRIES, MAX_BATCH_BYTES = 4096, 4 * 2**20
MAX_REQUEST_ENTRIES = 32_768  # that a mint appends at once: all, or none
MAX_REQUEST_BYTES = 15 * 2**20  # of these, with their lengths; the rest of a message is small


class AppendedBatch(NamedTuple):
    """Entries [first, first + count) of the log, and a verified head that covers them."""

    first: int
    count: int  # type: ignore[assignment]  # instead of tuple.count
    head: Checkpoint


async def with_retries(call: Callable[[], Awaitable[T]], seconds: float = RETRY_SECONDS) -> T:
    """The answer of a call that is safe to repeat, through the outages and the queues of `seconds`.

    A call is repeated no sooner than the mint says, and with jitter: calls that were refused together do not come back
    together.
    """
    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type((Busy, Unavailable)),
        wait=_pause,
        stop=tenacity.stop_before_delay(seconds),
        sleep=asyncio.sleep,
        reraise=True,
    )

    async def attempt() -> T:
        return await call()

    return await retrying(attempt)


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    seconds = error.retry_after if isinstance(error, Busy) else RETRY_PAUSE_SECONDS
    return seconds * random.uniform(1, 1.5)  # noqa: S311  # jitter


async def head_to_grow(client: MintClient, log: TrustedLog) -> Checkpoint:
    """The verified head that an append goes on from. Raises NotFound where the log was never made."""
    try:
        return await with_retries(lambda: download.get_head(client, log))
    except NotFound as error:
        raise NotFound(f"{error}; `mintmark create {log.origin}` makes it") from error


async def send(client: MintClient, trusted: LogVerifier, call: Callable[[], Awaitable[AppendAnswer]]) -> AppendedBatch:
    """Sends a batch until it is answered, and verifies the answer. Raises Untrusted for an answer that lies."""
    answer = await with_retries(call)
    head = await with_retries(lambda: download.accept(client, trusted, answer.note))
    if answer.first < 0 or answer.first + answer.count > head.size:
        raise ProofError("the mint acknowledged entries that its checkpoint does not cover", answer.note)
    return AppendedBatch(answer.first, answer.count, head)


def batches(
    rows: Iterable[T],
    first: int,
    size: Callable[[T], int],
    max_entries: int = MAX_BATCH_ENTRIES,
    max_bytes: int = MAX_BATCH_BYTES,
) -> Iterator[tuple[int, list[T]]]:
    """Cuts rows into batches, each with the position of its first row; the same rows are always cut alike."""
    batch: list[T] = []
    total = 0
    for row in rows:
        if batch and (len(batch) == max_entries or total + size(row) > max_bytes):
            yield first, batch
            first, batch, total = first + len(batch), [], 0
        batch.append(row)
        total += size(row)
    if batch:
        yield first, batch


async def send_batches(
    client: MintClient,
    log: TrustedLog,
    head: Checkpoint,
    numbered: Iterable[tuple[int, Sequence[T]]],
    call: Callable[[int, Sequence[T]], Awaitable[AppendAnswer]],
    step: Callable[[int], None],
) -> Checkpoint:
    """Sends batches one after the other, each with its position by `call`; the verified head after the last.

    `head` is the head that the first batch is to follow. `step` is called with the number of entries of each batch.
    """
    verifier = await download.start_verifier(client, log, head)
    for first, batch in numbered:
        head = (await send(client, verifier, partial(call, first, batch))).head
        step(len(batch))
    return head


def derived_id(origin: str, *content: bytes) -> bytes:
    """The request id of a batch of an import: the same when the import is run again, so that nothing comes in twice.

    `content` says what is appended, and where: the same may have to come in again, one day, elsewhere.
    """
    digest = hashlib.sha256(f"mintmark import\n{origin}\n".encode())
    for part in content:
        digest.update(hashlib.sha256(part).digest())
    return digest.digest()[:16]
