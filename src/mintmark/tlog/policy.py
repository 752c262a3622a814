"""Policies: the logs and witnesses that must sign a checkpoint before it is believed (C2SP tlog-policy).

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> all|any|<k> <member>...
    quorum <name>|none

A checkpoint satisfies a policy when one of the logs signed it under its own name, and the quorum cosigned it. The URLs
are of no use here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mintmark.errors import Malformed, NotAvailableYet
from mintmark.tlog import cosignature
from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint, read_tree_head
from mintmark.tlog.keys import public_key
from mintmark.tlog.note import COSIGNATURE, format_note, open_note, parse_vkey
from mintmark.tlog.text import parse_decimal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mintmark.tlog.note import Verifier

_KEYWORDS = ("none", "all", "any")


class Group(NamedTuple):
    """Satisfied when `least` of its members, witnesses or other groups, are."""

    least: int
    members: tuple[str, ...]


@dataclass(slots=True)
class Policy:
    """Made by `parse_policy`. `quorum` names a witness or a group; None asks for no cosignature."""

    logs: list[Verifier] = field(default_factory=list)
    witnesses: dict[str, Verifier] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str | None = None


def open_by_policy(note: bytes, policy: Policy) -> tuple[Checkpoint, dict[str, int]]:
    """The checkpoint, and the times at which witnesses cosigned it: name -> Unix seconds.

    The checkpoint's note has the signatures of the log and of the witnesses.

    Raises:
        Malformed: no checkpoint.
        BadSignature: no log of the policy signed it, or a signature does not verify.
        NotAvailableYet: the log signed it, and the quorum has not cosigned it so far.
        ProofError: as `open_checkpoint` does.
    """
    origin = read_tree_head(note).origin
    logs = [log for log in policy.logs if log.name == origin]
    head = open_checkpoint(note, origin, logs)
    opened = open_note(note, [*logs, *policy.witnesses.values()])
    times = cosignature.cosignatures(opened, policy.witnesses.values())
    names = {name: times[witness] for name, witness in policy.witnesses.items() if witness in times}
    if policy.quorum is not None and policy.quorum not in satisfied(policy, names):
        seen = ", ".join(sorted(names)) or "nobody"
        raise NotAvailableYet(
            f"the quorum {policy.quorum!r} did not cosign {origin} at size {head.size} yet, only {seen}"
        )
    return Checkpoint(head.origin, head.size, head.root, format_note(*opened)), names


def satisfied(policy: Policy, witnesses: Iterable[str]) -> set[str]:
    """The witnesses and groups that are satisfied when these witnesses cosigned."""
    names = set(witnesses)
    for name, group in policy.groups.items():  # a group comes after its members
        if len(names.intersection(group.members)) >= group.least:
            names.add(name)
    return names


def parse_policy(data: bytes) -> Policy:
    """The policy in a file.

    Raises:
        Malformed: the file says something else, or leaves the quorum out. Names the line.
    """
    if any(byte == 0x7F or (byte < 0x20 and byte not in b"\t\n") for byte in set(data)):
        raise Malformed("a control character in a policy")
    if data and not data.endswith(b"\n"):
        raise Malformed("the last line of a policy ends with a newline")
    reader = _Reader()
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            reader.read(line.decode(errors="surrogateescape").replace("\t", " "))
        except Malformed as error:
            raise Malformed(f"line {number} of the policy: {error}") from error
    if not reader.has_quorum:
        raise Malformed("a policy has a quorum line; `quorum none` asks for no cosignature")
    return reader.policy


class _Reader:
    """A policy, line by line."""

    def __init__(self) -> None:
        self.policy = Policy()
        self.has_quorum = False
        self._members: set[str] = set()  # of all groups

    def read(self, line: str) -> None:
        match [field for field in line.split(" ") if field]:
            case []:
                pass
            case [first, *_] if first.startswith("#"):
                pass
            case ["log", vkey] | ["log", vkey, _]:
                self.policy.logs.append(self._log(vkey))
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                self.policy.witnesses[self._new(name)] = self._witness(vkey)
            case ["group", name, least, *members] if members:
                self.policy.groups[self._new(name)] = self._group(least, members)
            case ["quorum", name] if not self.has_quorum:
                self.policy.quorum, self.has_quorum = None if name == "none" else self._defined(name), True
            case [keyword, *_]:
                raise Malformed(f"{keyword!r} is no line of a policy, is a second quorum, or has other fields")

    def _log(self, vkey: str) -> Verifier:
        log = _new_key(vkey, self.policy.logs)
        if log.kind == COSIGNATURE:
            raise Malformed(f"the key of {log.name} is a cosigner's, not a log's")
        return log

    def _witness(self, vkey: str) -> Verifier:
        witness = _new_key(vkey, self.policy.witnesses.values())
        if witness.kind not in cosignature.COSIGNATURE_KINDS:
            raise Malformed(f"the key of {witness.name} is a log's; it makes no cosignatures")
        return witness

    def _group(self, least: str, members: list[str]) -> Group:
        for member in members:
            if self._defined(member) in self._members:
                raise Malformed(f"{member!r} is a member of a group already")
            self._members.add(member)
        count = {"any": 1, "all": len(members)}.get(least) or parse_decimal(least.encode(errors="surrogateescape"))
        if not 1 <= count <= len(members):
            raise Malformed(f"{count} of {len(members)} members is no quorum")
        return Group(count, tuple(members))

    def _new(self, name: str) -> str:
        if name in _KEYWORDS or name in self.policy.witnesses or name in self.policy.groups:
            raise Malformed(f"the name {name!r} is taken")
        return name

    def _defined(self, name: str) -> str:
        if name not in self.policy.witnesses and name not in self.policy.groups:
            raise Malformed(f"no witness or group {name!r} is defined before this line")
        return name


def _new_key(vkey: str, others: Iterable[Verifier]) -> Verifier:
    verifier = parse_vkey(vkey)
    if any(public_key(other.vkey) == public_key(vkey) for other in others):
        raise Malformed(f"the key of {verifier.name} is listed before")
    return verifier
