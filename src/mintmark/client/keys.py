"""The public keys of logs: parsed, read from files, and found by a log's name.

Keys come from the caller or from files on this machine, never from the server whose answers they check.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mintmark.errors import BadSignature, Malformed, Misconfigured
from mintmark.tlog.origin import short_name
from mintmark.tlog.text import line_fault

if TYPE_CHECKING:
    from mintmark.tlog.note import Verifier

ADVICE_FOR_UNKNOWN = "give the log's key"


@dataclass(frozen=True)
class TrustedLog:
    """A log's origin, and the public keys that its signatures are checked with."""

    origin: str
    verifiers: tuple[Verifier, ...]

    @property
    def name(self) -> str:
        """The short name: the last segment of the origin."""
        return short_name(self.origin)


Key = TrustedLog | str | Path  # a log, a vkey, the path of a file of vkeys, or of a directory of NAME.vkey files
Keys = Key | Iterable[Key]


class KeyRing:
    """The logs that somebody trusts, by name.

    Keys and files are read at once. A directory is searched for each log anew, so that a damaged file of one log does
    not harm another.

    Raises:
        Malformed: a key that is none.
        Misconfigured: a file that cannot be read.
    """

    def __init__(self, keys: Keys = (), directories: Iterable[Path] = ()) -> None:
        self.directories = list(directories)
        self._verifiers: dict[str, tuple[Verifier, ...]] = {}
        for key in [keys] if isinstance(keys, TrustedLog | str | Path) else keys:
            self._add(key)

    def log(self, name: str, advice: str = ADVICE_FOR_UNKNOWN, more: str = "") -> TrustedLog:
        """The log of a short name or an origin.

        Raises Misconfigured when no key of it is here: with `advice`, where no name is like it, and with `more`.
        """
        for origin in self._verifiers:
            if name in (origin, short_name(origin)):
                return TrustedLog(origin, self._verifiers[origin])
        if self._verifiers and not self.directories:
            origins = ", ".join(sorted(self._verifiers))
            raise Misconfigured(f"the key is of {origins}, not of {name}; name the log or its key right")
        for directory in self.directories:
            if (log := _log_in(directory, name)) is not None:
                return log
        raise Misconfigured(f"no key of {name} is known: {self._where(name)}; {self._guess(name) or advice}{more}")

    @property
    def given(self) -> tuple[Verifier, ...]:
        """The keys that were given as such, of whatever logs: not those in directories."""
        return tuple(verifier for verifiers in self._verifiers.values() for verifier in verifiers)

    def sole_log(self, name: str) -> TrustedLog:
        """The log of a name, where all keys given are of it. Raises Misconfigured where one is of another."""
        if len(self._verifiers) > 1:
            origins = ", ".join(sorted(self._verifiers))
            raise Misconfigured(f"the key is of {origins}, not of {name}; name the log or its key right")
        return self.log(name)

    def signer_of(self, origin: str) -> TrustedLog:
        """The log of exactly this origin, which a proof names.

        Raises:
            BadSignature: the keys given are all of other logs, or the file of this name is.
            Misconfigured: no file of this name is in the directories.
        """
        if origin in self._verifiers:
            return TrustedLog(origin, self._verifiers[origin])
        logs = [log for directory in self.directories if (log := _log_in(directory, short_name(origin))) is not None]
        for log in logs:
            if log.origin == origin:
                return log
        if logs or self._verifiers:
            raise BadSignature(f"the proof is of {origin!r}, and the key is of another log")
        places = ", ".join(map(str, self.directories))
        if not any(file for directory in self.directories for file in directory.glob("*.vkey")):
            raise Misconfigured(f"no keys are in {places}; give the log's key with --vkey")
        raise Misconfigured(
            f"no key of {origin!r} is trusted here ({places}); if you trust it, give its key with --vkey"
        )

    def _add(self, key: Key) -> None:
        if isinstance(key, TrustedLog):
            verifiers = key.verifiers
        elif isinstance(key, str) and "+" in key and not Path(key).exists():
            verifiers = parse_vkeys(key)
        elif Path(key).is_dir():
            self.directories.append(Path(key))
            return
        else:
            verifiers = read_vkeys(Path(key))
        name = verifiers[0].name
        self._verifiers[name] = (*self._verifiers.get(name, ()), *verifiers)

    def _where(self, name: str) -> str:
        files = [directory / f"{short_name(name)}.vkey" for directory in self.directories]
        return f"{files[0]} is not there" if files else "no key was given"

    def _guess(self, name: str) -> str:
        known = [file.stem for directory in self.directories for file in directory.glob("*.vkey")]
        close = difflib.get_close_matches(short_name(name), known, 1)
        return f"did you mean {close[0]!r}?" if close else ""


def parse_vkeys(text: str) -> tuple[Verifier, ...]:
    """The keys of one origin, a line each. Raises Malformed."""
    from mintmark.tlog.note import parse_vkey

    verifiers = tuple(parse_vkey(line) for line in text.removesuffix("\n").split("\n"))
    if len({verifier.name for verifier in verifiers}) != 1:
        raise Malformed("the keys of one file belong to several origins; give each its own file")
    return verifiers


def read_vkeys(file: Path) -> tuple[Verifier, ...]:
    """The public keys in a file. Raises Misconfigured when it cannot be read, Malformed when it holds anything else."""
    try:
        data = file.read_bytes()
        if fault := line_fault(data):
            raise Malformed(fault)
        return parse_vkeys(data.decode())
    except UnicodeDecodeError as error:
        raise Malformed(f"{file} is not a public key: it is not UTF-8") from error
    except Malformed as error:
        raise Malformed(f"{file} is not a public key: {error}") from error
    except OSError as error:
        raise Misconfigured(f"the public key {file} cannot be read: {error.strerror}") from error


def _log_in(directory: Path, name: str) -> TrustedLog | None:
    """The log of a name whose keys a directory has. Raises Misconfigured where the file's keys are of another log."""
    files = {file.stem: file for file in directory.glob("*.vkey")}  # no path is made of what a proof says
    if (file := files.get(short_name(name))) is None:
        return None
    verifiers = read_vkeys(file)
    log = TrustedLog(verifiers[0].name, verifiers)
    if name not in (log.origin, log.name):
        raise Misconfigured(f"the key is of {log.origin}, not of {name}; name the log or its key right")
    return log
