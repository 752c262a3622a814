"""The place that a check of a log reached, kept in a file, so that an interrupted check goes on from there.

The place moves only over sound entries: the next run finds every damage again that this one could not report.
"""

from __future__ import annotations

import json
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import quote

from mintmark.files import write_durably

if TYPE_CHECKING:
    from pathlib import Path

WRITE_INTERVAL_SECONDS = 2.0


def resume_file(directory: Path, conninfo: str, origin: str) -> Path:
    """The file below a directory for a log in a database."""
    digest = sha256(conninfo.encode()).hexdigest()[:16]
    return directory / digest / quote(origin, safe="")


class ResumeState:
    """The place that the check of one log reached."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._saved = monotonic()

    def load(self) -> int:
        """The index to go on at; 0 where no check was interrupted."""
        try:
            return int(json.loads(self.file.read_bytes())["upto"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def move(self, upto: int) -> None:
        """Moves the place to `upto`: everything before it is sound."""
        if monotonic() - self._saved >= WRITE_INTERVAL_SECONDS:
            write_durably(self.file, json.dumps({"upto": upto}).encode() + b"\n")
            self._saved = monotonic()

    def end(self) -> None:
        """Forgets the place: the check is complete."""
        self.file.unlink(missing_ok=True)
