"""Appends single entries, which go to the mint together, each answered with its own index.

An append is answered once the entry was read back from the signed tree.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mintmark.aio import Batcher
from mintmark.client import download
from mintmark.client.sending import AppendedBatch, batches, send
from mintmark.errors import Forbidden, Malformed, MintmarkError, ProofError, Rejected, Unauthenticated
from mintmark.formats.register import open_chunk
from mintmark.register import canonical
from mintmark.register.item import SALT, parse_item
from mintmark.tlog import bundle
from mintmark.tlog.edge import Edge
from mintmark.tlog.trust import LogVerifier

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import AppendAnswer, ItemMessage, MintClient
    from mintmark.register.item import Item
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import VerifiedChunk


class AppendedEntry(NamedTuple):
    """The index of an entry, and a verified head that covers it."""

    index: int  # type: ignore[assignment]  # instead of tuple.index
    head: Checkpoint


@dataclass(frozen=True)
class ItemDraft:
    """A register entry whose leaf the mint makes.

    `item` is any spelling of a JSON object; empty, the record ends. `system` is for a definition or an erasure.

    Raises:
        Malformed: the item is no JSON object of strings and lists of strings.
    """

    key: str
    item: bytes
    system: bool = False

    def __post_init__(self) -> None:
        try:
            self.members()
        except Malformed as error:
            raise Malformed(f"the item: {error}") from None

    def members(self) -> Item | None:
        """The members of the item; None where the record ends."""
        return parse_item(canonical.normalise(self.item)) if self.item else None


Draft = bytes | ItemDraft  # an entry of an opaque log, or of a register


class Appender:
    """Appends to one log; the only writer of its verifier, so that heads are accepted in the order of the answers."""

    def __init__(self, client: MintClient, log: TrustedLog) -> None:
        self._client, self._log = client, log
        self._trusted = LogVerifier(log.origin, log.verifiers, None, Edge())
        self._lock = asyncio.Lock()
        self._batcher: Batcher[Draft, AppendedEntry | MintmarkError] = Batcher(self._send_gathered)

    async def append(self, draft: Draft) -> AppendedEntry:
        """Appends one entry; those that come while a request is under way go together in the next.

        Cancelling the call leaves it open if the entry is appended.
        """
        answer = await self._batcher.get(draft)
        if isinstance(answer, AppendedEntry):
            return answer
        raise answer or AssertionError("a batch answers each of its entries")

    async def append_all(self, drafts: Sequence[Draft]) -> AppendedBatch:
        """Appends entries as one batch: all, or none. Raises what refuses the batch."""
        call = self._call(drafts)
        async with self._lock:
            appended = await send(self._client, self._trusted, call)
        if appended.count != len(drafts):
            raise ProofError(f"the mint acknowledged {appended.count} entries of {len(drafts)}", appended.head.note)
        await self._read_back(appended, drafts)
        return appended

    async def _send_gathered(self, drafts: Sequence[Draft]) -> dict[int, AppendedEntry | MintmarkError]:
        answers: list[AppendedEntry | MintmarkError] = []
        for _, batch in batches(drafts, 0, _size):
            answers += await self._answers(batch)
        return dict(enumerate(answers))

    async def _answers(self, drafts: Sequence[Draft]) -> list[AppendedEntry | MintmarkError]:
        """An answer for each entry: one that the mint refuses keeps no other from its place."""
        if not drafts:
            return []
        try:
            first, count, head = await self.append_all(drafts)
        except Unauthenticated as error:
            return [error] * len(drafts)
        except (Rejected, Malformed, Forbidden) as error:
            if len(drafts) == 1:
                return [_of_one(error)]
            at = _refused(error, len(drafts))
            parts = (drafts[:at], drafts[at : at + 1], drafts[at + 1 :])
            return [answer for part in parts for answer in await self._answers(part)]
        except MintmarkError as error:  # of these alone: others of the same gathering may be in the log already
            return [error] * len(drafts)
        return [AppendedEntry(index, head) for index in range(first, first + count)]

    def _call(self, drafts: Sequence[Draft]) -> Callable[[], Awaitable[AppendAnswer]]:
        """The request, with an id of its own, to be sent any number of times."""
        origin, request_id = self._log.origin, secrets.token_bytes(16)
        entries = [draft for draft in drafts if isinstance(draft, bytes)]
        items = [draft for draft in drafts if isinstance(draft, ItemDraft)]
        if entries and items:
            raise Rejected("a log is opaque or a register: append entries or records, not both", rule="kind")
        if items:
            messages = [_message(draft) for draft in items]
            return lambda: self._client.append_items(origin, request_id, messages)
        joined = bundle.join(entries)
        return lambda: self._client.append(origin, request_id, joined)

    async def _read_back(self, appended: AppendedBatch, drafts: Sequence[Draft]) -> None:
        """Reads the entries from the signed tree. Raises ProofError where they are not those that were sent."""
        client, first, end = self._client, appended.first, appended.first + appended.count
        reader = await download.start_verifier(client, self._log, appended.head, first)
        async for chunk in download.get_chunks(client, reader, end):
            for index, held in _contents(chunk, drafts):
                if first <= index < end and held != _content(drafts[index - first]):
                    raise ProofError(f"the log holds another entry {index} than the one that was sent")


def _message(draft: ItemDraft) -> ItemMessage:
    from mintmark.client.mint_client import item_message

    return item_message(draft.key, draft.item, system=draft.system)


def _size(draft: Draft) -> int:
    return len(draft) if isinstance(draft, bytes) else len(draft.item) + len(draft.key)


def _content(draft: Draft) -> object:
    """The content that the log has to hold: an entry's bytes, or its key and the members of its item but for a salt."""
    return draft if isinstance(draft, bytes) else (draft.key, _unsalted(draft.members()))


def _unsalted(members: Item | None) -> Item | None:
    return members and {name: value for name, value in members.items() if name != SALT}


def _contents(chunk: VerifiedChunk, drafts: Sequence[Draft]) -> Iterator[tuple[int, object]]:
    """(index, content as `_content` gives it) of each new entry of a chunk."""
    if isinstance(drafts[0], bytes):
        yield from download.leaves(chunk)
        return
    for row in open_chunk(chunk):
        item = parse_item(row.item) if row.item else None
        yield row.index, (row.entry.key if row.entry else None, _unsalted(item))


def _refused(error: MintmarkError, count: int) -> int:
    """The place of the entry that a refusal names; the first, where it names none."""
    index = error.index if isinstance(error, Rejected) else None
    return index if index is not None and 0 <= index < count else 0


def _of_one(error: MintmarkError) -> MintmarkError:
    """The refusal of an entry that was sent alone, without a word of its place: the caller knows of no batch."""
    message = str(error).removeprefix("entry 0: ")
    if isinstance(error, Rejected):
        return Rejected(message, rule=error.rule, field=error.field, index=error.index)
    return type(error)(message)
