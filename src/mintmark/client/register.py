"""One register: its records now and as they were, its schema, and what changes it.

Reading a register reads its whole log and verifies every entry and item, so nothing is the word of a server: no record
is left out and no later entry of one is withheld. Ask a snapshot (`at`) when you have more than one question.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mintmark.client.append import ItemDraft
from mintmark.client.importing import FORMATS
from mintmark.client.rsf_import import check_file, plan_rsf
from mintmark.client.sending import MAX_BATCH_ENTRIES, with_retries
from mintmark.client.snapshot import read_snapshot
from mintmark.client.table_import import plan_table
from mintmark.errors import Malformed
from mintmark.register import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mintmark.client.append import AppendedEntry
    from mintmark.client.importing import ImportPlan, ImportResult
    from mintmark.client.log import AsyncLog
    from mintmark.client.proofs import Proof
    from mintmark.client.snapshot import RecordVersion, RegisterSnapshot, When
    from mintmark.register.schema import Schema

    JsonItem = bytes | Mapping[str, str | Sequence[str]]  # JSON in any spelling, or its members


class AsyncRegister:
    """A register; made by `AsyncClient.register`. `log` is its log."""

    def __init__(self, log: AsyncLog) -> None:
        self.log = log

    async def at(self, when: When | None = None) -> RegisterSnapshot:
        """The register as of a size or a time (YYYY-MM-DDTHH:MM:SSZ or a datetime); now, where it is None."""
        return await read_snapshot(self.log.servers.rpc, self.log.trusted, when)

    async def records(self) -> dict[str, RecordVersion]:
        """The records that stand: key -> latest entry."""
        return (await self.at()).records()

    async def record(self, key: str) -> RecordVersion:
        """The latest entry of a record. Raises NotFound where none stands, Gone where its item was erased."""
        return (await self.at()).record(key)

    async def history(self, key: str) -> list[RecordVersion]:
        """All entries of a record, oldest first. Raises NotFound where there is none."""
        return (await self.at()).history(key)

    async def schema(self) -> Schema:
        """The definitions in force: the register, its fields, its custodian."""
        return (await self.at()).schema()

    async def prove(self, *, record: str | None = None, index: int | None = None, policy: bytes | None = None) -> Proof:
        """The proof of a record's latest entry, or of the entry at an index; see `AsyncLog.prove`."""
        return await self.log.prove(record=record, index=index, policy=policy)

    async def append(self, key: str, item: JsonItem, *, system: bool = False) -> AppendedEntry:
        """Appends a version of a record, or with `system` a definition; see `AsyncLog.append`.

        Raises:
            Malformed: the item is no JSON object of strings and lists of strings.
            Rejected: the register's rules refuse it; says which rule and field.
        """
        return await self.log.append(
            ItemDraft(key, item if isinstance(item, bytes) else canonical.format(item), system)
        )

    async def end(self, key: str) -> AppendedEntry:
        """Ends a record with a tombstone, which stays for good.

        Raises Rejected where the read API, if one is known and has all that the mint has, knows no such record that
        stands; the mint itself takes any key.
        """
        if (read_api := self.log.servers.read_api) is not None:
            head = await with_retries(self.log.checkpoint)
            await read_api.check_stands(self.log.name, key, head.size)
        return await self.log.append(ItemDraft(key, b""))

    async def erase(self, index: int, reason: str, authority: str) -> AppendedEntry:
        """Erases the item of an entry from every copy; the entry stays, and names why and by whose authority."""
        item = canonical.format({"reason": reason, "authority": authority})
        return await self.log.append(ItemDraft(f"erase:{index}", item, system=True))

    async def plan(self, file: str | Path, format_: str | None = None, *, legacy: bool = False) -> ImportPlan:
        """The plan of an import: what the file has and the register has not; nothing is sent.

        Args:
            file: an RSF, CSV, TSV or JSON Lines file.
            format_: "rsf", "csv", "tsv" or "jsonl"; from the file's suffix where it is None.
            legacy: admits, and warns of, the known faults of old RSF data.

        Raises:
            Malformed: the suffix names no format.
            Rejected: a line breaks the register's rules (names line, rule and field), or an RSF file has another
                history than the log.
        """
        path = Path(file)
        format_ = format_ or path.suffix.removeprefix(".").lower()
        if format_ not in FORMATS:
            raise Malformed(f"{path} does not say what it is; name its format: {', '.join(FORMATS)}")
        rpc, log = self.log.servers.rpc, self.log.trusted
        if format_ == "rsf":
            return await plan_rsf(rpc, log, check_file(path, legacy=legacy))
        return await plan_table(rpc, log, path, format_)

    async def apply(
        self,
        plan: ImportPlan,
        step: Callable[[int], None] = lambda entries: None,
        max_batch_entries: int = MAX_BATCH_ENTRIES,
    ) -> ImportResult:
        """Appends what a plan says, in batches. `step` is called with the number of entries of each.

        An application that was cut off is planned again and goes on where it ended.
        """
        return await plan.apply(self.log.servers.rpc, step, max_batch_entries)
