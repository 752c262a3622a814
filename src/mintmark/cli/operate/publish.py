"""`mintmark publish`: logs as static files in an object store, where a CDN serves them and mirrors follow them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from mintmark.cli import exits
from mintmark.cli.exits import decode_notes
from mintmark.cli.options import dir_option, json_option
from mintmark.cli.output import echo, emit, progress, run
from mintmark.config.deployment import DeploymentDir
from mintmark.errors import Conflict, MintmarkError, Misconfigured, Untrusted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from obstore.store import ObjectStore

    from mintmark.publish.publisher import Published
    from mintmark.store.connection.migrate import Component
    from mintmark.store.log.log_store import LogStore
    from mintmark.store.log.model import Log
    from mintmark.store.mirror.evidence import EvidenceStore
    from mintmark.tlog.note import Verifier

MAX_ATTEMPTS = 3  # while another publisher is at work at the same place
WORST_EXIT_FIRST = (exits.LIED, exits.ERROR, exits.NOT_YET, exits.OK)


class _Database(NamedTuple):
    """A database, its kind, and the directory of its logs' keys."""

    database: str
    kind: Component
    keys: Path

    def verifiers(self, log: Log) -> Sequence[Verifier]:
        from mintmark.client.keys import read_vkeys
        from mintmark.mint.keys import read_keys
        from mintmark.tlog.note import parse_vkey

        if self.kind == "mint":
            return [parse_vkey(key.vkey) for key in read_keys(self.keys / f"{log.name}.key")]
        return read_vkeys(self.keys / f"{log.name}.vkey")


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--to", "url", required=True, metavar="URL", help="file:///DIR, s3://BUCKET/PREFIX, gs://…, az://…")
@click.option("--mint", is_flag=True, help="From the mint's database ([mint]), instead of a read database ([mirror]).")
@dir_option
@click.option("--config", type=click.Path(path_type=Path), help="A mirror's or a mint's configuration.")
@json_option
def publish(names: tuple[str, ...], url: str, mint: bool, dir_: Path, config: Path | None, as_json: bool) -> int:
    """Publish logs as static files (C2SP tlog-tiles) at URL/NAME/log/, for CDNs, mirrors and auditors.

    Only what is new since the published checkpoint is written, and the checkpoint last; a run that was cut off goes on
    where it stopped. A published checkpoint that does not fit the log here is never replaced: exit 3.
    """
    from mintmark.publish.object_store import open_store

    deployment = DeploymentDir(dir_)
    store = open_store(url)
    source = _source(config or deployment.configured(), mint)
    with nullcontext() if config else deployment.reachable():
        return run(_publish(source, names, store, url, as_json))


def _source(config: Path, mint: bool) -> _Database:
    from mintmark.config.settings import load_mint, load_mirror

    if mint:
        of_mint = load_mint(config)
        return _Database(of_mint.database, "mint", of_mint.keys)
    of_mirror = load_mirror(config)
    return _Database(of_mirror.database, "read", of_mirror.trust)


async def _publish(source: _Database, names: Iterable[str], place: ObjectStore, url: str, as_json: bool) -> int:
    from mintmark.store.connection.migrate import migrate
    from mintmark.store.connection.pool import open_pool
    from mintmark.store.log.log_store import LogStore
    from mintmark.store.mirror.evidence import EvidenceStore

    codes = {exits.OK}
    await migrate(source.database, source.kind)
    async with open_pool(source.database, 4) as pool:
        store, evidence = LogStore(pool), EvidenceStore(pool) if source.kind == "read" else None
        logs = {name: log for log in await store.logs() for name in (log.name, log.origin)}
        for name in dict.fromkeys(names):
            try:
                log = _named(logs, name)
                done = await _one(store, evidence, log, source.verifiers(log), place, url, as_json)
            except MintmarkError as error:
                _print_failure(as_json, name, error)
                codes.add(exits.exit_code(error))
            else:
                _print_published(as_json, log, url, done)
    return min(codes, key=WORST_EXIT_FIRST.index)


def _named(logs: Mapping[str, Log], name: str) -> Log:
    if (log := logs.get(name)) is None:
        known = ", ".join(sorted({log.name for log in logs.values()})) or "none"
        raise Misconfigured(f"no log {name!r} is in this database; there are: {known}")
    return log


async def _one(
    store: LogStore,
    evidence: EvidenceStore | None,
    log: Log,
    verifiers: Sequence[Verifier],
    place: ObjectStore,
    url: str,
    as_json: bool,
) -> Published:
    from mintmark.publish.object_store import PublishedLog
    from mintmark.publish.publisher import Publisher

    size = (await store.head(log.id)).size
    for left in reversed(range(MAX_ATTEMPTS)):
        with progress(f"publishing {log.origin}", size, as_json) as step:
            try:
                files = PublishedLog(place, url, log.name)
                return await Publisher(store, log, verifiers, files, step, evidence).run()
            except Conflict:
                if not left:
                    raise
    raise AssertionError("a last try returns or raises")


def _print_published(as_json: bool, log: Log, url: str, done: Published) -> None:
    where = f"{url.rstrip('/')}/{log.name}/log/"
    size = done.head.size
    if as_json:
        state = {"origin": log.origin, "url": where, "before": done.before, "size": size, "root": done.head.root.hex()}
        emit(state | {"files": done.files, "bytes": done.bytes, "erased": done.erased})
    else:
        what = f"{size} entries, {size - done.before} of them new" if done.files else f"{size} entries, nothing new"
        click.echo(f"{log.origin}: {what}; {where}")


def _print_failure(as_json: bool, name: str, error: MintmarkError) -> None:
    if as_json:
        notes = decode_notes(error.notes) if isinstance(error, Untrusted) else []
        emit({"name": name, "error": {"type": type(error).__name__, "message": str(error), "notes": notes}})
    else:
        echo(f"mintmark: {name}: {error}")
