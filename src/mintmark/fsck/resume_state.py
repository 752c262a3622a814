"""How far a check of a log got, kept in a file: one that was interrupted is gone on with from there.

The place moves only over what is sound, so that the next run finds again what this one did not live to tell.
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

EVERY = 2.0  # seconds between writes


def cursor_file(state_directory: Path, conninfo: str, origin: str) -> Path:
    """In a user's state directory, one for each database and log."""
    digest = sha256(conninfo.encode()).hexdigest()[:16]
    return state_directory / "fsck" / digest / quote(origin, safe="")


class ResumeState:
    """The place in one log."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._saved = monotonic()

    def load(self) -> int:
        """The entry to go on at; 0 where no check was interrupted."""
        try:
            return int(json.loads(self.file.read_bytes())["upto"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def move(self, upto: int) -> None:
        """Everything before `upto` is sound."""
        if monotonic() - self._saved >= EVERY:
            write_durably(self.file, json.dumps({"upto": upto}).encode() + b"\n")
            self._saved = monotonic()

    def end(self) -> None:
        """The check came to its end."""
        self.file.unlink(missing_ok=True)
