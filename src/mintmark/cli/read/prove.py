"""`mintmark prove`: a C2SP tlog-proof of one entry, and the entry's bytes."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import click

from mintmark.cli.options import client_options
from mintmark.cli.output import answer, run
from mintmark.errors import Misconfigured, NotFound, ProofError, Unavailable
from mintmark.files import write_durably

if TYPE_CHECKING:
    from mintmark.cli.options import Target, TrustedLog
    from mintmark.rpc.client import RpcClient
    from mintmark.tlog.checkpoint import Checkpoint

TIMEOUT = 10  # seconds for the read API to answer
MOST = 2**20  # bytes of its answer


file_path = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("name")
@click.option("--record", metavar="KEY", help="The latest entry of this record.")
@click.option("--index", type=click.IntRange(min=0), help="The entry at this index.")
@click.option("-o", "--out", type=file_path, required=True, help="Where to write the proof.")
@click.option("--entry-out", type=file_path, required=True, help="Where to write the entry's bytes.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A tlog-policy that the proof has to satisfy; its witnesses' cosignatures become part of it.",
)
@client_options
def prove(
    name: str, record: str | None, index: int | None, out: Path, entry_out: Path, policy: Path | None,
    where: Target, as_json: bool,
) -> None:  # fmt: skip
    """Fetch the proof that an entry is in the log NAME, and check it, to keep it or to hand it on.

    Who has the two files and the log's public key can check them offline, years later: mintmark verify.
    """
    if (record is None) == (index is None):
        raise click.UsageError("say which entry: --record KEY or --index N")
    log = where.log(name)
    index, leaf, proof, head = run(_prove(where, log, record, index or 0, policy.read_bytes() if policy else None))
    write_durably(entry_out, leaf)
    write_durably(out, proof)
    result = {"origin": log.origin, "index": index, "size": head.size, "proof": str(out), "entry": str(entry_out)}
    answer(as_json, result, f"entry {index} of {log.origin} is proven at size {head.size}: {out}, {entry_out}")


async def _prove(
    where: Target, log: TrustedLog, record: str | None, index: int, policy: bytes | None
) -> tuple[int, bytes, bytes, Checkpoint]:
    from mintmark.tlog.kernel import leaf_hash
    from mintmark.tlog.proof_file import ProofFile, check_proof_file, format_proof

    async with where.client() as client:
        index, leaf, head = await _entry(client, where, log, record, index, policy)
        hashes = (await client.inclusion(log.origin, index=index, size=head.size)).proof
    proof = ProofFile(index, hashes, head.note)
    check_proof_file(proof, leaf_hash(leaf), log.origin, log.verifiers)
    return index, leaf, format_proof(proof), head


async def _entry(
    client: RpcClient, where: Target, log: TrustedLog, record: str | None, index: int, policy: bytes | None
) -> tuple[int, bytes, Checkpoint]:
    """The entry that was asked for, and the head that it is proven by.

    A cache before the read API may answer with something else than was asked: it is asked once more, past the cache.
    """
    try:
        return await _look(client, where, log, record, index, policy)
    except (ProofError, _Foreign):
        if record is None or where.http is None:
            raise
        return await _look(client, where, log, record, index, policy, fresh=True)


async def _look(
    client: RpcClient,
    where: Target,
    log: TrustedLog,
    record: str | None,
    index: int,
    policy: bytes | None,
    fresh: bool = False,
) -> tuple[int, bytes, Checkpoint]:
    from mintmark.client.download import get_head, get_head_by_policy

    seen = await _look_up(where, log, record, fresh) if record is not None else _NOWHERE
    head = await (get_head_by_policy(client, log, policy) if policy is not None else get_head(client, log))
    if record is not None:
        index = await _find(client, log, head, record, seen)
    leaf = await _leaf(client, log, head, index)
    if record is not None:
        _check_key(leaf, record)
    return index, leaf, head


async def _leaf(client: RpcClient, log: TrustedLog, head: Checkpoint, index: int) -> bytes:
    from mintmark.client import download

    end = download.check_range(index, index + 1, head)
    trusted = await download.begin(client, log, head, index)
    found = b""
    async for chunk in download.get_chunks(client, trusted, end):
        found = dict(download.leaves(chunk)).get(index, found)
    return found


async def _find(client: RpcClient, log: TrustedLog, head: Checkpoint, key: str, seen: Seen) -> int:
    """The index of a record's latest entry: the one seen in the read API, unless the log holds a later one."""
    from mintmark.cli.read.rows import user_rows
    from mintmark.client import download

    found = seen.index
    trusted = await download.begin(client, log, head, min(seen.size, head.size))
    async for chunk in download.get_chunks(client, trusted, head.size):
        found = next((row.index for row in reversed(user_rows(chunk)) if row.entry and row.entry.key == key), found)
    if found is None:
        raise NotFound(f"{log.origin} has no record {key!r} at size {head.size}")
    return found


class Seen(NamedTuple):
    """Where the read API has a record, and of how many entries it speaks: what came after them is not in it yet."""

    index: int | None  # type: ignore[assignment]  # instead of tuple.index
    size: int


_NOWHERE = Seen(None, 0)


class _Foreign(Unavailable):
    """What answered is no read API, or not about what was asked."""


async def _look_up(where: Target, log: TrustedLog, key: str, fresh: bool) -> Seen:
    """Asks the read API, where one is known; without one the whole log is read."""
    if (http := where.http) is None:
        return _NOWHERE
    url = f"{register_url(http, log.name)}/records/{quote(key, safe='')}.json"
    try:
        return await asyncio.to_thread(_get, url, key, fresh)
    except HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            return _NOWHERE
        raise Unavailable(f"{url} answered {error.code} {error.reason}") from error
    except (HTTPException, ValueError, KeyError, TypeError) as error:
        raise _Foreign(f"{url} is not a mintmark read API; give its address with --http") from error
    except OSError as error:
        raise Unavailable(f"{http} cannot be reached: {getattr(error, 'reason', error)}") from error


def register_url(http: str, name: str) -> str:
    """Where a read API has a register. Raises Misconfigured for what is no address of one."""
    if not http.startswith(("http://", "https://")):
        raise Misconfigured(f"{http} is no address of a read API; give it as --http http://HOST:PORT")
    return f"{http.rstrip('/')}/{quote(name, safe='')}"


def _get(url: str, key: str, fresh: bool) -> Seen:
    request = Request(url, headers={"Cache-Control": "no-cache"} if fresh else {})  # noqa: S310  # the caller chose it
    with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
        return Seen(int(json.loads(response.read(MOST))[key]["index"]), int(response.headers["Mintmark-Size"]))


def _check_key(leaf: bytes, key: str) -> None:
    from mintmark.register.entry import parse_entry

    if parse_entry(leaf).key != key:
        raise ProofError(f"the read API named an entry of another record than {key!r}")
