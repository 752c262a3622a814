"""When which size of a log became visible in a read database: heard by NOTIFY, read from its head."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field

import psycopg


@dataclass
class Seen:
    """`waiting` holds, by log, (size that is to become visible, when its append was sent); `sizes`, what is visible."""

    waiting: dict[int, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    sizes: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    milliseconds: list[float] = field(default_factory=list)

    def expect(self, log: int, size: int, began: float) -> None:
        """An append was answered, which was sent at `began`. It may be visible already."""
        self.waiting[log].append((size, began))
        self._note(log, self.sizes[log])

    async def listen(self, database: str) -> None:
        """Notes how long each append took to be visible, until cancelled."""
        async with (
            await psycopg.AsyncConnection.connect(database, autocommit=True) as heard,
            await psycopg.AsyncConnection.connect(database, autocommit=True) as conn,
        ):
            await heard.execute("listen mintmark_head")
            async for notice in heard.notifies():
                log = int(notice.payload)
                row = await (await conn.execute("select size from head where log = %s", (log,))).fetchone()
                self._note(log, row[0] if row else 0)

    def _note(self, log: int, size: int) -> None:
        now, waiting, self.sizes[log] = time.perf_counter(), self.waiting[log], size
        self.milliseconds += [(now - began) * 1000 for end, began in waiting if end <= size]
        self.waiting[log] = [wait for wait in waiting if wait[0] > size]

    def all(self) -> list[float]:
        """What was seen; an append that was not counts with the time since."""
        now = time.perf_counter()
        lost = [(now - began) * 1000 for waiting in self.waiting.values() for _, began in waiting]
        return self.milliseconds + lost
