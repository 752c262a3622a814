"""How much a source is asked for at once, and how long it is waited for: both by what it did before.

A fast source is asked for all at once. One that was late is asked for less, down to one entry. As soon as something
comes it is slow and not stuck: it is asked for whole bundles again, and given more time. What comes fast doubles the
range, and what is late in spite of all the time was stuck after all.
"""

from __future__ import annotations

from mintmark.tlog.chunk import MAX_CHUNK_BUNDLES
from mintmark.tlog.kernel import TILE_WIDTH

MAX_RANGE_ENTRIES = MAX_CHUNK_BUNDLES * TILE_WIDTH  # of the ranges that a slow source is asked for
RANGE_DIVISOR = 16  # by which a range is shortened when nothing came in time
MAX_TIMES_LONGER = 24  # than usual, that a slow source is waited for


class Pace:
    """The pace of one source, which is usually waited for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = self._usual = seconds
        self._entries = 0  # of a range; 0: without bound
        self._came = False  # anything, so far

    @property
    def slow(self) -> bool:
        """True if it is asked for less than all, or given more time."""
        return bool(self._entries) or self.seconds > self._usual

    @property
    def max_seconds(self) -> float:
        """The longest that a slow source is waited for."""
        return self._usual * MAX_TIMES_LONGER

    def range_end(self, at: int, end: int) -> int:
        """Where the range ends that the source is to be asked for, of [at, end): with a bundle, or within that of `at`.

        What comes begins with the bundle that holds `at`, so half a bundle more would be sent twice.
        """
        if not self._entries:
            return end
        first = at - at % TILE_WIDTH
        return min(end, first + self._entries if self._entries >= TILE_WIDTH else min(at + self._entries, first + 256))

    def came(self, seconds: float) -> None:
        """A chunk came after so long."""
        self._came = True
        if 0 < self._entries < TILE_WIDTH:
            self._entries = TILE_WIDTH
        elif seconds < self.seconds / 4:
            self.seconds = max(self.seconds / 2, self._usual)
            self._entries = self._entries * 2 if self._entries * 2 < MAX_RANGE_ENTRIES else 0
        elif seconds > self._usual and (self._entries or MAX_RANGE_ENTRIES) > TILE_WIDTH:
            self._entries = max((self._entries or MAX_RANGE_ENTRIES) // 4, TILE_WIDTH)

    def late(self) -> None:
        """No chunk came in time."""
        entries = self._entries or MAX_RANGE_ENTRIES
        if not self._came or entries > TILE_WIDTH:
            self._entries = max(entries // RANGE_DIVISOR, TILE_WIDTH if self._came else 1)
        elif self.seconds < self.max_seconds:
            self.seconds = min(self.seconds * 2, self.max_seconds)
        else:
            self._came, self.seconds = False, self._usual
