"""The logs that a mirror follows, their keys and sources: the trust directory, through the configuration's globs.

Read anew whenever the mirror asks, so a key that is put in the directory becomes a log that is followed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mintmark.client.keys import read_vkeys
from mintmark.config.settings import load_mirror
from mintmark.errors import Misconfigured
from mintmark.mirror.server import FollowConfig
from mintmark.sources.open import expand_addresses
from mintmark.tlog.origin import matches

if TYPE_CHECKING:
    from pathlib import Path


class TrustStore:
    """The keys that a configuration file admits. Raises Misconfigured for a file that is no configuration."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._directory = load_mirror(file).trust

    def load(self) -> FollowConfig:
        """The logs to follow. Raises Misconfigured for the configuration, Malformed for a file that holds no key."""
        settings = load_mirror(self._file)
        self._directory = settings.trust
        if not settings.trust.is_dir():
            raise Misconfigured(f"{settings.trust} is not a directory; [mirror] trust names where the logs' keys are")
        found = {keys[0].name: keys for keys in map(read_vkeys, sorted(settings.trust.glob("*.vkey")))}
        trust = {
            origin: keys
            for origin, keys in found.items()
            if matches(origin, settings.logs) and not matches(origin, settings.exclude)
        }
        kinds = {origin: kind for origin in trust for name, kind in settings.kinds.items() if matches(origin, (name,))}
        return FollowConfig(trust, expand_addresses(settings.sources, trust), kinds)

    def stamp(self) -> object:
        """A value that changes when `load` may return something else."""
        try:
            with os.scandir(self._directory) as files:
                keys = {file.name: file.stat().st_mtime_ns for file in files if file.name.endswith(".vkey")}
            return keys, self._file.stat().st_mtime_ns if self._file else None
        except OSError as error:
            return str(error)
