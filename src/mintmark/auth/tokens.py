"""Bearer tokens: who may do what in which logs.

    [[token]]
    name = "harbour office"
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"   # printf %s TOKEN | sha256sum
    rights = ["append", "create", "erase", "legacy"]
    logs = ["registers.example/*"]      # globs of origins or names; left out: every log
    quota = 5000                        # entries a second, in each log; left out: no limit

The file holds hashes only: to read it gives no right. It is read again when it changes.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING, Any

from mintmark.errors import Busy, Forbidden, Misconfigured, Unauthenticated
from mintmark.files import file_stamp, refuse_pipe
from mintmark.tlog.origin import matches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Metadata = Iterable[tuple[str, str | bytes]]

RIGHTS = frozenset(("append", "create", "erase", "legacy"))
BURST_SECONDS = 2.0  # of quota, which may be spent at once
MAX_CACHED_MATCHES = 4_096

_KEYS = frozenset(("name", "sha256", "rights", "logs", "quota"))
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass
class _Bucket:
    """The rest of a quota in entries: it fills at `rate` entries a second, up to BURST_SECONDS of it.

    A batch is let through whole while anything is left. Where it takes more than that, the next one waits.
    """

    rate: float
    level: float
    at: float

    def spend(self, count: int, now: float) -> None:
        self.level = min(self.rate * BURST_SECONDS, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level <= 0:
            wait = (1 - self.level) / self.rate
            raise Busy(f"the token's quota of {self.rate:g} entries a second is spent; try again in {wait:.1f} s", wait)
        self.level -= count


_matches = lru_cache(MAX_CACHED_MATCHES)(matches)  # each call asks for one of the same few globs and origins


@dataclass(frozen=True)
class Token:
    """One credential."""

    name: str
    rights: frozenset[str]
    logs: tuple[str, ...] = ("*",)
    quota: float | None = None
    _buckets: dict[str, _Bucket] = field(default_factory=dict, compare=False, repr=False)

    def may(self, right: str, origin: str) -> bool:
        """True if it has a right in a log."""
        return right in self.rights and _matches(origin, self.logs)

    def check(self, right: str, origin: str) -> None:
        """Raises Forbidden where it lacks a right in a log."""
        if not self.may(right, origin):
            raise Forbidden(f"the token {self.name!r} has no right to {right} in {origin}; tokens.toml gives it")

    def spend(self, origin: str, count: int, now: float) -> None:
        """Counts entries against the quota, which each log has for itself. Raises Busy where it is spent."""
        if self.quota is not None:
            full = _Bucket(self.quota, self.quota * BURST_SECONDS, now)
            self._buckets.setdefault(origin, full).spend(count, now)


class Tokens:
    """The tokens of a file."""

    def __init__(self, file: Path, clock: Callable[[], float] = monotonic) -> None:
        self._file, self._clock = file, clock
        self._stamp: object = ()
        self._known: dict[bytes, Token] = {}
        self.reload()

    def stamp(self) -> object:
        """A value that changes when the file does; None while the file cannot be seen."""
        return file_stamp(self._file)

    @property
    def loaded(self) -> object:
        """The stamp of the file as it was read last."""
        return self._stamp

    def reload(self) -> bool:
        """Reads the file again if it has changed; True if it had. Raises Misconfigured, and the old tokens stay."""
        refuse_pipe(self._file)
        try:
            if (stamp := self.stamp()) == self._stamp:
                return False
            self._known = parse_tokens(self._file.read_text())
        except OSError as error:
            reason = f"the tokens {self._file} cannot be read: {error.strerror}; name the file with [mint] tokens"
            raise Misconfigured(reason) from error
        except ValueError as error:
            raise Misconfigured(f"{self._file}: {error}") from error
        self._stamp = stamp
        return True

    def authorize(self, metadata: Metadata | None, right: str, origin: str) -> Token:
        """The token that a call carries, if it has a right in a log. Raises Unauthenticated, Forbidden."""
        token = self.find(metadata)
        token.check(right, origin)
        return token

    def spend(self, token: Token, origin: str, count: int) -> None:
        """Counts entries against a token's quota. Raises Busy."""
        token.spend(origin, count, self._clock())

    def find(self, metadata: Metadata | None) -> Token:
        """The token that a call carries. Raises Unauthenticated."""
        for key, value in metadata or ():
            if key == "authorization" and isinstance(value, str) and value.startswith("Bearer "):
                token = self._known.get(sha256(value[7:].encode()).digest())
                if token is None:
                    raise Unauthenticated("the bearer token is not known here")
                return token
        raise Unauthenticated("a bearer token is needed; give it with --token FILE or in $MINTMARK_TOKEN")


def parse_tokens(text: str) -> dict[bytes, Token]:
    """The tokens of a file, by the SHA-256 of each. Raises ValueError, which names the token and its fault."""
    document = tomllib.loads(text)
    tables = document.pop("token", [])
    if document or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ValueError("a file of tokens holds [[token]] tables and nothing else")
    found: dict[bytes, Token] = {}
    for number, table in enumerate(tables, 1):
        digest, token = _parse_token(table, f"token {number}")
        if digest in found:
            raise ValueError(f"token {number} is the same as {found[digest].name!r}")
        found[digest] = token
    return found


def format_token(name: str, token: str, rights: Iterable[str]) -> str:
    """The lines of a token in a file: its name, its hash and its rights, in every log."""
    listed = ", ".join(f'"{right}"' for right in sorted(rights))
    return f'[[token]]\nname = "{name}"\nsha256 = "{sha256(token.encode()).hexdigest()}"\nrights = [{listed}]\n'


def _parse_token(table: dict[str, Any], where: str) -> tuple[bytes, Token]:
    name, digest = table.get("name", where), table.get("sha256")
    if unknown := table.keys() - _KEYS:
        raise ValueError(f"{where} has an unknown key {min(unknown)!r}; known are {', '.join(sorted(_KEYS))}")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise ValueError(f"{where}: sha256 is 64 lower-case hex digits, as printed by: printf %s TOKEN | sha256sum")
    rights, logs = _texts(table, "rights", where, []), _texts(table, "logs", where, ["*"])
    if strange := set(rights) - RIGHTS:
        raise ValueError(f"{where} has an unknown right {min(strange)!r}; known are {', '.join(sorted(RIGHTS))}")
    quota = table.get("quota")
    if quota is not None and (isinstance(quota, bool) or not isinstance(quota, (int, float)) or not 0 < quota < 1e12):
        raise ValueError(f"{where}: quota is a number of entries a second, above 0")
    return bytes.fromhex(digest), Token(str(name), frozenset(rights), tuple(logs), quota)


def _texts(table: dict[str, Any], key: str, where: str, default: list[str]) -> list[str]:
    value = table.get(key, default)
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"{where}: {key} is a list of strings")
    return value
