"""`mintmark prove` and `mintmark verify`: proofs fetched, and checked offline (C2SP tlog-proof, tlog-policy).

`verify` says what was proven, field by field, and what was not. What it prints is other people's data: nothing of it
reaches a terminal as a control character.
"""

from __future__ import annotations

import time
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mintmark.cli.options import client_options, dir_option, json_option, trust_option, vkey_option
from mintmark.cli.output import answer, echo, printable, run
from mintmark.errors import Malformed
from mintmark.files import write_durably
from mintmark.register.item import format_hash
from mintmark.tlog.origin import short_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mintmark.cli.options import Target
    from mintmark.client.keys import TrustedLog
    from mintmark.client.proofs import Proof, ProvenEntry
    from mintmark.register.entry import Entry

_written = click.Path(path_type=Path, dir_okay=False)
_read = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("name")
@click.option("--record", metavar="KEY", help="The latest entry of this record.")
@click.option("--index", type=click.IntRange(min=0), help="The entry at this index.")
@click.option("-o", "--out", type=_written, required=True, help="Where to write the proof.")
@click.option("--entry-out", type=_written, help="Where to write the entry's bytes too, for other programs.")
@click.option(
    "--policy",
    type=_read,
    help="A tlog-policy that the proof has to satisfy; its witnesses' cosignatures become part of it.",
)
@client_options
def prove(
    name: str, record: str | None, index: int | None, out: Path, entry_out: Path | None, policy: Path | None,
    target: Target, as_json: bool,
) -> None:  # fmt: skip
    """Fetch the proof that an entry is in the log NAME, and check it, to keep it or to hand it on.

    The file holds the entry and its item. Who has it and the log's public key can check it offline, years later:
    mintmark verify.
    """
    if (record is None) == (index is None):
        raise click.UsageError("say which entry: --record KEY or --index N")
    log = target.log(name)
    proof = run(_prove(target, log, record, index, _read_policy(policy) if policy else None))
    files = {"proof": out} | ({"entry": entry_out} if entry_out else {})
    if entry_out:
        write_durably(entry_out, proof.entry)
    write_durably(out, proof.data)
    if proof.lacks_item:
        echo("the server has no item of this entry: it was erased, or is withheld; the proof holds the entry alone")
    index, size, names = proof.index, proof.head.size, {kind: str(file) for kind, file in files.items()}
    text = f"entry {index} of {log.origin} is proven at size {size}: {', '.join(names.values())}"
    answer(as_json, {"origin": log.origin, "index": index, "size": size} | names, text)


async def _prove(target: Target, log: TrustedLog, record: str | None, index: int | None, policy: bytes | None) -> Proof:
    async with target.client(log) as client:
        return await client.log(log.origin).prove(record=record, index=index, policy=policy)


@click.command()
@click.argument("file", type=_read)
@click.option("--entry", type=_read, help="The entry's bytes, where FILE does not hold them, or to compare.")
@click.option("--item", type=_read, help="The item's bytes, likewise.")
@click.option("--policy", type=_read, help="A tlog-policy: the logs and the quorum of witnesses to believe.")
@vkey_option
@trust_option
@dir_option
@json_option
def verify(
    file: Path, entry: Path | None, item: Path | None, policy: Path | None, vkeys: tuple[str, ...],
    trust: Path | None, dir_: Path, as_json: bool,
) -> None:  # fmt: skip
    """Check offline that the entry in the tlog-proof FILE is in its log, and the item the entry's; print both.

    Exit 3 when it does not hold. A file that is no proof, no key or no policy says nothing about the log: exit 1.
    """
    if policy and (vkeys or trust):
        raise click.UsageError("a policy has its keys: give --policy, or --vkey, or --trust")
    beside = _Beside(entry.read_bytes() if entry else None, item.read_bytes() if item else None)
    proven = _verify(file, beside, policy, vkeys, trust or dir_ / "trust")
    answer(as_json, _describe(proven), "\n".join(_words(proven)))


class _Beside(NamedTuple):
    """The files that were given beside a proof."""

    entry: bytes | None
    item: bytes | None


def _verify(file: Path, beside: _Beside, policy: Path | None, vkeys: tuple[str, ...], trust: Path) -> ProvenEntry:
    """Reads keys or policy first, so that each error names its file."""
    from mintmark.client.keys import KeyRing
    from mintmark.client.proofs import check_signed_by_all, verify
    from mintmark.tlog.text import other_content

    rules = _read_policy(policy) if policy else None
    keys = None if policy else KeyRing(vkeys, directories=() if vkeys else [trust])
    data = _read_proof(file)
    if what := other_content(data):
        raise Malformed(f"{file} is not a proof: it is {what}")
    try:
        proven = verify(data, beside.entry, item=beside.item, keys=keys, policy=rules)
    except Malformed as error:
        raise Malformed(f"{file}: {error}") from error
    if keys is not None and keys.given:  # a witness's too
        check_signed_by_all(proven.head.note, keys.given)
    return proven


def _read_proof(file: Path) -> bytes:
    from mintmark.tlog.proof_file import MAX_PROOF_BYTES

    with file.open("rb") as stream:
        return stream.read(MAX_PROOF_BYTES + 1)


def _describe(proven: ProvenEntry) -> dict[str, Any]:
    """What was proven, for a machine."""
    from mintmark.register import canonical

    head, signed = proven.head, [f"{line.name}+{line.key_id.hex()}" for line in proven.signatures]
    result = {"origin": head.origin, "index": proven.index, "size": head.size, "root": head.root.hex()}
    result |= {"signed-by": signed, "witnesses": dict(proven.witnesses)}
    if proven.register_entry is None:
        return result | {"base64": b64encode(proven.entry).decode()}
    result |= {"entry": canonical.parse(proven.entry), "item": proven.readable_item}
    if proven.item is not None and proven.readable_item is None:
        result["item-base64"] = b64encode(proven.item).decode()
    return result


def _words(proven: ProvenEntry) -> Iterator[str]:
    """What was proven, for a person, a fact a line."""
    head, entry = proven.head, proven.register_entry
    seen = f", witnessed by {', '.join(map(printable, proven.witnesses))}" if proven.witnesses else ""
    yield f"entry {proven.index} is in {printable(head.origin)} at size {head.size}{seen}"
    if entry is None:
        yield f"entry: {printable(proven.entry)}"
    else:
        yield from (f"register: {printable(short_name(head.origin))}", f"key: {printable(entry.key)}")
        yield from (f"type: {entry.type}", f"time: {entry.timestamp}")
        yield from _item_words(proven, entry)
    for line in proven.signatures:
        yield f"signed by: {printable(line.name)}+{line.key_id.hex()}"
    for name, seconds in proven.witnesses.items():
        yield f"witnessed by: {printable(name)}, {_utc(seconds)}"
    if entry is not None and entry.type == "user":
        yield "not proven: that this is the last entry of its record"


def _utc(seconds: int) -> str:
    """A witness's time; one beyond the calendar stays a number."""
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s"


def _item_words(proven: ProvenEntry, entry: Entry) -> Iterator[str]:
    if entry.item_hash is None:
        yield "item: none, this entry ends the record"
    elif proven.item is None:
        yield f"item: {format_hash(entry.item_hash)}, not in this proof: it was erased, or left out; --item checks one"
    elif (item := proven.readable_item) is None:
        yield f"item: {format_hash(entry.item_hash)}, which is none by the rules: {printable(proven.item)}"
    else:
        yield f"item: {format_hash(entry.item_hash)}"
        for name, value in item.items():
            yield from _field_words(printable(name), value)


def _field_words(name: str, value: str | list[str]) -> Iterator[str]:
    if isinstance(value, str):
        yield f"  {name}: {printable(value)}"
    else:
        yield f"  {name}: a list of {len(value)}"
        yield from (f"    - {printable(element)}" for element in value)


def _read_policy(file: Path) -> bytes:
    from mintmark.tlog.policy import parse_policy
    from mintmark.tlog.text import line_fault

    policy = file.read_bytes()
    try:
        if fault := line_fault(policy):
            raise Malformed(fault)
        parse_policy(policy)
    except Malformed as error:
        raise Malformed(f"{file} is not a policy: {error}") from error
    return policy
