"""Which logs a mirror follows, and by which keys: the trust directory, through the globs of the configuration.

Read anew whenever the mirror asks, so that a key that is put in the directory is a log that is followed.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from mintmark.cli.keys import read_vkeys
from mintmark.config import load_mirror
from mintmark.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mintmark.tlog.note import Verifier


class Trusting:
    """The keys that a configuration file admits, as it and they are now."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._directory = load_mirror(file).trust

    def load(self) -> dict[str, Sequence[Verifier]]:
        """Origin -> verifiers. Raises Misconfigured."""
        settings = load_mirror(self._file)
        self._directory = settings.trust
        if not settings.trust.is_dir():
            raise Misconfigured(f"{settings.trust} is not a directory; [mirror] trust names where the logs' keys are")
        found = {keys[0].name: keys for keys in map(read_vkeys, sorted(settings.trust.glob("*.vkey")))}
        return {
            origin: keys
            for origin, keys in found.items()
            if _matches(origin, settings.logs) and not _matches(origin, settings.exclude)
        }

    def stamp(self) -> object:
        """Changes when `load` may give something else."""
        files = [self._directory, *self._directory.glob("*.vkey"), *([self._file] if self._file else [])]
        return sorted((str(file), file.stat().st_mtime_ns) for file in files if file.exists())


def _matches(origin: str, globs: Iterable[str]) -> bool:
    name = origin.rsplit("/", 1)[-1]
    return any(fnmatchcase(origin, glob) or fnmatchcase(name, glob) for glob in globs)
