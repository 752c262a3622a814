"""One thing that is wrong with a row, named so that a person finds it; and what mends it, where that is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mintmark.store.fsck.repair_sql import Fix


class Damage(NamedTuple):
    """A row of a log, by table and key, and what is wrong with it."""

    origin: str
    table: str
    key: str
    what: str
    fix: Fix | None = None  # None: it takes a source, or nothing says what was there

    def __str__(self) -> str:
        return f"{self.origin}: {' '.join(filter(None, (self.table, self.key)))}: {self.what}"


@dataclass
class Findings:
    """The damages of one log so far; call it with each."""

    origin: str
    damages: list[Damage] = field(default_factory=list)

    def __call__(self, table: str, key: object, what: str, fix: Fix | None = None) -> None:
        """Notes a damage."""
        self.damages.append(Damage(self.origin, table, str(key), what, fix))

    def once(self) -> list[Damage]:
        """One finding for each column of a row, the first."""
        found: dict[tuple[str, str, str], Damage] = {}
        for damage in self.damages:
            found.setdefault((damage.table, damage.key, damage.what.split(":")[0]), damage)
        return list(found.values())
