"""Fetches proofs from a server, and checks them before they are handed on.

The read API may say where a record's latest entry is. The entries after those that it speaks of are read from the log
and verified; that there is no later one among those it does speak of is the read API's word.

A proof has the signatures of the head that were checked here, and no others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mintmark.client import download
from mintmark.client.proofs import Proof, check_item
from mintmark.client.read_api import NOWHERE, NotAReadApi
from mintmark.errors import NotFound, ProofError
from mintmark.formats.register import open_chunk
from mintmark.register.entry import parse_entry
from mintmark.tlog import bundle
from mintmark.tlog.kernel import TILE_WIDTH, leaf_hash
from mintmark.tlog.proof_file import ProofFile, ProofParts, check_proof_file, format_parts, format_proof

if TYPE_CHECKING:
    from mintmark.client.keys import TrustedLog
    from mintmark.client.mint_client import MintClient
    from mintmark.client.read_api import ReadApi, RecordLocation
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import VerifiedChunk


class Prover:
    """Fetches proofs of one log."""

    def __init__(self, client: MintClient, log: TrustedLog, read_api: ReadApi | None) -> None:
        self._client, self._log, self._read_api = client, log, read_api

    async def prove(self, index: int, policy: bytes | None = None) -> Proof:
        """The proof of the entry at an index, under the present head.

        With a tlog-policy, the head must satisfy it, and its witnesses' cosignatures become part of the proof.

        Raises:
            NotAvailableYet: the entry is beyond the head, or the quorum has not cosigned the head so far.
        """
        head = await self._head(policy)
        return await self._prove(index, await self._parts(head, index), head)

    async def prove_record(self, key: str, policy: bytes | None = None) -> Proof:
        """The proof of a record's latest entry. Raises NotFound where there is none.

        A cache before the read API may answer another question. Then the API is asked once more, past the cache.
        """
        try:
            return await self._prove_record(key, policy, fresh=False)
        except (ProofError, NotAReadApi):
            if self._read_api is None:
                raise
            return await self._prove_record(key, policy, fresh=True)

    async def _prove_record(self, key: str, policy: bytes | None, fresh: bool) -> Proof:
        location = NOWHERE
        if self._read_api is not None:
            location = await self._read_api.locate(self._log.name, key, fresh=fresh)
        head = await self._head(policy)
        index = await self._latest(key, location, head)
        parts = await self._parts(head, index)
        if parse_entry(parts.entry).key != key:
            raise ProofError(f"the read API named an entry of another record than {key!r}")
        return await self._prove(index, parts, head)

    async def _head(self, policy: bytes | None) -> Checkpoint:
        if policy is not None:
            return await download.get_head_by_policy(self._client, self._log, policy)
        return await download.get_head(self._client, self._log)

    async def _latest(self, key: str, location: RecordLocation, head: Checkpoint) -> int:
        """The index of a record's latest entry: the one located, unless the log holds a later one."""
        found, start = location.index, min(location.size, head.size)
        verifier = await download.start_verifier(self._client, self._log, head, start)
        async for chunk in download.get_chunks(self._client, verifier, head.size):
            later = _index_of(chunk, key)
            found = found if later is None else later
        if found is None:
            raise NotFound(f"{self._log.origin} has no record {key!r} at size {head.size}")
        return found

    async def _parts(self, head: Checkpoint, index: int) -> ProofParts:
        """The entry, verified, and its item, where one came beside it."""
        end = download.check_range(index, index + 1, head)
        verifier = await download.start_verifier(self._client, self._log, head, index)
        found = ProofParts(b"")
        async for chunk in download.get_chunks(self._client, verifier, end):
            with download.strictly():
                found = _parts_at(chunk, index) or found
        if found.item is not None:
            check_item(found.entry, found.item)
        return found

    async def _prove(self, index: int, parts: ProofParts, head: Checkpoint) -> Proof:
        hashes = (await self._client.inclusion(self._log.origin, index=index, size=head.size)).proof
        proof = ProofFile(index, hashes, head.note, format_parts(parts))
        check_proof_file(proof, leaf_hash(parts.entry), self._log.origin, self._log.verifiers)
        return Proof(format_proof(proof), parts.entry, index, head, parts.item)


def _parts_at(chunk: VerifiedChunk, index: int) -> ProofParts | None:
    """The parts of an entry, as bytes: an item that does not parse is bound by its hash as any other."""
    for part in chunk.bundles if chunk.start <= index < chunk.end else ():
        at = index - part.index * TILE_WIDTH
        if 0 <= at < part.width:
            item = bundle.cut(part.items, part.width)[at] if part.items else b""
            return ProofParts(bundle.cut(part.entries, part.width)[at], item or None)
    return None


def _index_of(chunk: VerifiedChunk, key: str) -> int | None:
    """The index of the last entry of a record in a chunk of a register."""
    for row in reversed(open_chunk(chunk)):
        if row.entry is not None and row.entry.type == "user" and row.entry.key == key:
            return row.index
    return None
