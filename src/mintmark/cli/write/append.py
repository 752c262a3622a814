"""`mintmark append`: a few entries, and the proof that they are in the log before the command says so."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import answer, run
from mintmark.errors import Malformed, ProofError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mintmark.cli.options import Target, TrustedLog
    from mintmark.rpc.client import AppendAnswer, RpcClient
    from mintmark.tlog.checkpoint import Checkpoint
    from mintmark.tlog.trust import VerifiedChunk

    Call = Callable[[RpcClient], Awaitable[AppendAnswer]]
    Check = Callable[[VerifiedChunk, int, int], None]


@click.command()
@click.argument("name")
@click.argument("entries", nargs=-1, metavar="[ENTRY]...")
@click.option("--key", help="Append the record of this key, with --item.")
@click.option("--item", metavar="JSON", help="The record's item; - reads it from stdin.")
@click.option("--system", is_flag=True, help="The key is a definition's (name, custodian, field:…, register:…).")
@click.option("--tombstone", metavar="KEY", help="End the record of this key; a read API that is known must have it.")
@click.option("--erase", type=click.IntRange(min=0), metavar="INDEX", help="Erase the item of the entry at this index.")
@click.option("--reason", help="Why it is erased.")
@click.option("--authority", help="By whose authority it is erased.")
@client_options
def append(
    name: str, entries: tuple[str, ...], key: str | None, item: str | None, system: bool, tombstone: str | None,
    erase: int | None, reason: str | None, authority: str | None, where: Target, as_json: bool,
) -> None:  # fmt: skip
    """Append to the log NAME.

    \b
    An opaque log takes each ENTRY, or each line of stdin:
        mintmark append notes "first" "second"
    A register takes a record, the end of one, or an erasure:
        mintmark append country --key FR --item '{"country":"FR","name":"France"}'
        mintmark append country --tombstone DD
        mintmark append person --erase 41 --reason "asked for" --authority "court order 7"
    """
    if (key is None) != (item is None) or (erase is not None and not (reason and authority)):
        raise click.UsageError("--key goes with --item, and --erase with --reason and --authority")
    if sum((bool(entries), key is not None, tombstone is not None, erase is not None)) > 1:
        raise click.UsageError("append one thing at a time: entries, --key, --tombstone or --erase")
    log = where.log(name, to_write=True)
    if key is not None:
        text = sys.stdin.read() if item == "-" else item or ""
        call, check = _items(log, key, text.encode(), system)
    elif tombstone is not None:
        from mintmark.client.tombstone_check import check_stands

        run(check_stands(where, log, tombstone))
        call, check = _items(log, tombstone, b"", False)
    elif erase is not None:
        call, check = _items(log, f"erase:{erase}", _erasure(reason, authority), True)
    else:
        call, check = _opaque(log, [entry.encode() for entry in entries] or _stdin_lines())
    appended, head = run(_append(where, log, call, check))
    result = {"origin": log.origin, "first": appended.first, "count": appended.count, "size": head.size}
    what = "entry" if appended.count == 1 else f"{appended.count} entries from"
    answer(
        as_json, result | {"root": head.root.hex()}, f"{what} {appended.first} of {log.origin}, now of size {head.size}"
    )


def _erasure(reason: str | None, authority: str | None) -> bytes:
    from mintmark.register import canonical

    return canonical.format({"reason": reason or "", "authority": authority or ""})


def _stdin_lines() -> list[bytes]:
    lines = sys.stdin.buffer.read().removesuffix(b"\n").split(b"\n")
    if lines == [b""]:
        raise click.UsageError("nothing to append: give an ENTRY, lines on stdin, or --key with --item")
    return lines


def _opaque(log: TrustedLog, entries: Sequence[bytes]) -> tuple[Call, Check]:
    from mintmark.client.download import leaves
    from mintmark.tlog import bundle

    body, request_id = bundle.join(entries), secrets.token_bytes(16)

    def check(chunk: VerifiedChunk, first: int, count: int) -> None:
        for index, leaf in leaves(chunk):
            if first <= index < first + count and leaf != entries[index - first]:
                raise ProofError(f"the log holds another entry {index} than the one that was sent")

    return lambda client: client.append(log.origin, request_id, body), check


def _items(log: TrustedLog, key: str, item: bytes, system: bool) -> tuple[Call, Check]:
    from mintmark.formats.register import open_chunk
    from mintmark.register import canonical
    from mintmark.register.item import SALT, parse_item
    from mintmark.rpc.mintmark_pb import log_pb2 as pb

    try:
        sent = parse_item(canonical.normalise(item)) if item else None
    except Malformed as error:
        raise Malformed(f"the item: {error}") from None
    message, request_id = pb.Item(key=key, json=item, system=system), secrets.token_bytes(16)

    def check(chunk: VerifiedChunk, first: int, count: int) -> None:
        for row in open_chunk(chunk):
            if row.index == first:
                held = {k: v for k, v in parse_item(row.item).items() if k != SALT} if row.item else None
                if row.entry is None or row.entry.key != key or held != sent:
                    raise ProofError(f"the log holds another entry {first} than the one that was sent")

    return lambda client: client.append_items(log.origin, request_id, [message]), check


async def _append(where: Target, log: TrustedLog, call: Call, check: Check) -> tuple[AppendAnswer, Checkpoint]:
    """Appends, then reads the entries back and checks that they are what was sent."""
    from mintmark.client import download
    from mintmark.client.upload import send
    from mintmark.tlog.edge import Edge
    from mintmark.tlog.trust import LogVerifier

    async with where.client() as client:
        trusted = LogVerifier(log.origin, log.verifiers, None, Edge())
        appended, head = await send(client, trusted, lambda: call(client))
        reader = await download.begin(client, log, head, appended.first)
        async for chunk in download.get_chunks(client, reader, appended.first + appended.count):
            check(chunk, appended.first, appended.count)
    return appended, head
