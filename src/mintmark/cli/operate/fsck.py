"""`mintmark fsck`: checks everything that a database says of its logs; mends it from a source, if one is named."""

from __future__ import annotations

from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mintmark.cli import exits
from mintmark.cli.options import dir_option, json_option
from mintmark.cli.output import answer, echo, progress, run, state_directory
from mintmark.config.deployment import DeploymentDir
from mintmark.errors import MintmarkError, Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mintmark.cli.databases import Database
    from mintmark.fsck.check import CheckResult
    from mintmark.fsck.findings import Damage, KeyedLog
    from mintmark.fsck.resume_state import ResumeState
    from mintmark.sources.grpc import GrpcSource
    from mintmark.store.connection.pool import Pool


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--database", "kind", type=click.Choice(["mint", "read"]), help="Only this one of those that are configured."
)
@click.option("--since", type=click.IntRange(min=0), metavar="SIZE", help="Begin there: what is before was checked.")
@click.option("--repair-from", "source", metavar="HOST:PORT", help="Mend what is damaged from this mint or mirror.")
@click.option("--config", type=click.Path(path_type=Path), help="A mint's or a mirror's configuration.")
@dir_option
@json_option
def fsck(
    names: tuple[str, ...], kind: str | None, since: int | None, source: str | None,
    config: Path | None, dir_: Path, as_json: bool,
) -> int:  # fmt: skip
    """Check every tile, bundle, hash, item and row of the logs NAME, or of all, in the mint's and the read database.

    Servers may go on meanwhile. A check that was interrupted goes on where it was; --since 0 begins anew. Each damage
    is named, and the exit code is 3 while one is left.

    --repair-from mends them: every byte from there is proven by the log's own key before it is written, in one
    transaction for each log. An item that was erased is not brought back.
    """
    from mintmark.cli.databases import databases

    deployment = DeploymentDir(dir_)
    runs = [_Run(database, names, since, as_json) for database in databases(config or deployment.configured(), kind)]
    with nullcontext() if config else deployment.reachable():
        run(_reach_all(runs))
    run(_check_all(runs, source))
    _check_names(names, runs)
    answer(as_json, _described(runs), "\n".join(line for each in runs for line in each.lines()))
    for error in (error for each in runs for error in each.errors):
        raise error
    if any(each.damaged for each in runs):
        return exits.LIED
    if unknown := [origin for each in runs for origin in each.unkeyed]:
        raise Misconfigured(f"no key of {', '.join(unknown)} is known here, so that it was not checked")
    return exits.OK


@dataclass
class _Result:
    """A log, the damages found in it, and those left after the repair."""

    keyed: KeyedLog
    found: CheckResult
    damages: list[Damage]
    left: list[Damage]


@dataclass
class _Run:
    """The check of one database, and its results so far."""

    database: Database
    names: Sequence[str]
    since: int | None
    as_json: bool
    results: list[_Result] = field(default_factory=list)
    strays: list[Damage] = field(default_factory=list)
    unkeyed: list[str] = field(default_factory=list)
    errors: list[MintmarkError] = field(default_factory=list)  # of repairs, each of one log

    @property
    def damaged(self) -> bool:
        return bool(self.strays) or any(result.left for result in self.results)

    async def check(self, pool: Pool) -> None:
        from mintmark.fsck.findings import check_strays, keyed_logs
        from mintmark.store.fsck.transactions import reading

        async with reading(pool) as store:
            logs = await keyed_logs(store, self.database.trust, self.database.cosigners)
            self.strays = await check_strays(store)
        for keyed in logs:
            if self.names and not {keyed.log.name, keyed.log.origin} & set(self.names):
                continue
            if keyed.verifiers:
                await self._check_log(pool, keyed)
            else:
                self.unkeyed.append(keyed.log.origin)

    async def _check_log(self, pool: Pool, keyed: KeyedLog) -> None:
        from mintmark.fsck.check import check_log
        from mintmark.fsck.resume_state import ResumeState, resume_file
        from mintmark.store.fsck.transactions import reading

        cursor = ResumeState(resume_file(state_directory() / "fsck", self.database.conninfo, keyed.log.origin))
        since = cursor.load() if self.since is None else self.since
        if since and self.since is None:
            echo(f"{keyed.log.origin}: going on at entry {since}, where the last check was interrupted")
        async with reading(pool) as store:
            shown = await store.shown(keyed.log.id)
            with progress(f"checking {keyed.log.origin}", max(shown - since, 0), self.as_json) as bar:
                step = _step(cursor, bar, since)
                found = await check_log(
                    store, keyed.log, keyed.verifiers, cosigners=keyed.cosigners, since=since, step=step
                )
        cursor.end()
        damages = [*keyed.damages, *found.damages]
        self.results.append(_Result(keyed, found, damages, damages))

    async def repair(self, pool: Pool, source: GrpcSource) -> None:
        from mintmark.fsck.repair import repair, repair_strays

        for result in self.results:
            if result.damages:
                try:
                    result.left = (await repair(pool, result.keyed, source)).after.damages
                except MintmarkError as error:
                    self.errors.append(error)
        if self.strays:
            self.strays = await repair_strays(pool)

    def lines(self) -> list[str]:
        """The text for a person: each damage, then a line for each log."""
        lines = [str(damage) for damage in self.strays]
        for result in self.results:
            found, left = result.found, result.left
            lines += map(str, left or result.damages)
            if found.lied:
                lines.append(f"{found.log.origin}: every row is sound, and they are not what the log signed: it lied")
            mended = len(result.damages) - len(left)
            state = _damages(len(left)) if left else f"{_damages(mended)}, all mended" if mended else "no damage"
            since = f" from {found.start} on" if found.start else ""
            lines.append(f"{self.database.kind} database, {found.log.origin}: {found.size} entries{since}, {state}")
        return lines


def _damages(count: int) -> str:
    return "1 damage" if count == 1 else f"{count} damages"


def _step(cursor: ResumeState, bar: Callable[[int], None], at: int) -> Callable[[int, bool], None]:
    """A function that moves a bar from `at` on, and the cursor over what is sound."""

    def step(upto: int, sound: bool) -> None:
        nonlocal at
        bar(upto - at)
        at = upto
        if sound:
            cursor.move(upto)

    return step


async def _reach_all(runs: Sequence[_Run]) -> None:
    """Raises Unavailable where one is away, Misconfigured for other tables: before an hour goes into the first."""
    from mintmark.store.connection.migrate import check

    for each in runs:
        await check(each.database.conninfo, each.database.kind)


async def _check_all(runs: Sequence[_Run], source: str | None) -> None:
    from mintmark.sources.grpc import GrpcSource
    from mintmark.store.connection.pool import open_pool

    for each in runs:
        async with AsyncExitStack() as stack:
            pool = await stack.enter_async_context(open_pool(each.database.conninfo, 2))
            await each.check(pool)
            if source is not None and each.damaged:
                await each.repair(pool, await stack.enter_async_context(GrpcSource(source)))


def _check_names(names: Sequence[str], runs: Sequence[_Run]) -> None:
    known = {name for each in runs for r in each.results for name in (r.keyed.log.name, r.keyed.log.origin)}
    if unknown := [name for name in names if name not in known and not any(name in each.unkeyed for each in runs)]:
        raise Misconfigured(f"no log {unknown[0]!r} is here; fsck without a name checks all that are")


def _described(runs: Sequence[_Run]) -> dict[str, Any]:
    logs = [
        {
            "database": each.database.kind,
            "origin": result.found.log.origin,
            "name": result.found.log.name,
            "size": result.found.size,
            "since": result.found.start,
            "upto": result.found.upto,
            "damages": [_damage(damage) for damage in result.damages],
            "left": [_damage(damage) for damage in result.left],
        }
        for each in runs
        for result in each.results
    ]
    return {"logs": logs, "strays": [_damage(damage) for each in runs for damage in each.strays]}


def _damage(damage: Damage) -> dict[str, str]:
    return {"table": damage.table, "key": damage.key, "what": damage.what}
