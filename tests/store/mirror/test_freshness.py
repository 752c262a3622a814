"""Freshness in a read database: evidence that ages, kept when those who gave it are gone, and free for idle logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.config.settings import MAX_FRESH_SECONDS
from mintmark.sources.grpc import MAX_AGE_SECONDS
from mintmark.store.mirror.freshness import Word

if TYPE_CHECKING:
    from mintmark.store.mirror.freshness import Standing
    from mintmark.store.mirror.read_store import ReadStore

SOURCE = "mint:1"


async def followed(store: ReadStore, *names: str) -> list[int]:
    """New logs; their ids."""
    return [(await store.follow(f"fresh.example/{name}", "opaque")).id for name in names]


async def standing(store: ReadStore, name: str) -> Standing:
    (found,) = [each for each in await store.freshness.standings() if each.name == name]
    return found


async def beat(store: ReadStore, age: float | None = 0.0, *, worker: str = "one", fresh_for: float = 60.0) -> set[str]:
    return await store.freshness.beat(worker, {SOURCE: Word(None, age)}, [], fresh_for)


async def test_what_nobody_confirmed_is_unknown_since_it_is_followed(read_store: ReadStore) -> None:
    (log,) = await followed(read_store, "a")
    await beat(read_store)
    created = (await read_store.pool.fetch("select created from log where id = %(log)s", {"log": log}))[0][0]
    found = (await standing(read_store, "a")).freshness(0)
    assert (found.state, found.since) == ("unknown", created)
    (status,) = await read_store.status.of_logs()
    assert (status.fresh, status.confirmed) == (False, created)


async def test_a_source_confirms_the_logs_that_it_is_said_to(read_store: ReadStore) -> None:
    a, _ = await followed(read_store, "a", "b")
    assert await beat(read_store) == {SOURCE}
    await read_store.freshness.confirm("one", [(SOURCE, a)])
    assert await beat(read_store) == set()
    assert {s.name: s.freshness(0).state for s in await read_store.freshness.standings()} == {
        "a": "current",
        "b": "unknown",
    }


@pytest.mark.parametrize(("age", "state"), [(5.0, "current"), (50.0, "current"), (61.0, "unknown"), (None, "unknown")])
async def test_a_word_holds_for_as_long_as_it_is_to(read_store: ReadStore, age: float | None, state: str) -> None:
    (a,) = await followed(read_store, "a")
    await beat(read_store, age)
    await read_store.freshness.confirm("one", [(SOURCE, a)])
    found = await standing(read_store, "a")
    assert found.freshness(0).state == state
    assert found.freshness(0, elapsed=60).state == "unknown"


async def test_the_oldest_word_that_a_source_may_give_can_be_stored(read_store: ReadStore) -> None:
    await beat(read_store, MAX_AGE_SECONDS, fresh_for=MAX_FRESH_SECONDS)


async def test_a_head_that_was_shown_and_is_not_complete_is_a_lag(read_store: ReadStore) -> None:
    (a,) = await followed(read_store, "a")
    await beat(read_store)
    await read_store.freshness.confirm("one", [(SOURCE, a)])
    await read_store.freshness.offer({"fresh.example/a": 500, "fresh.example/nowhere": 7})
    found = await standing(read_store, "a")
    assert found.freshness(0)[:2] == ("behind", 500)
    assert found.freshness(500)[:2] == ("current", 0)
    (status,) = await read_store.status.of_logs()
    assert (status.offered, status.late > 0) == (500, True)
    await read_store.freshness.offer({"fresh.example/a": 400})
    assert (await standing(read_store, "a")).known == 500


async def test_a_heartbeat_waits_for_no_step(read_store: ReadStore) -> None:
    (a,) = await followed(read_store, "a")
    async with read_store.pool.connection() as conn, conn.transaction():
        await conn.execute("select from progress for update")
        await read_store.freshness.offer({"fresh.example/a": 500})
        await beat(read_store)
        await read_store.freshness.confirm("one", [(SOURCE, a)])
        await read_store.freshness.beat("one", {SOURCE: Word(None, 0.0)}, [(SOURCE, a)], 60)
        await read_store.freshness.retire("one")
    assert (await standing(read_store, "a")).known == 0


async def test_a_source_that_takes_its_word_back_is_believed_until_then(read_store: ReadStore) -> None:
    (a,) = await followed(read_store, "a")
    await beat(read_store, 100.0)
    await read_store.freshness.confirm("one", [(SOURCE, a)])
    before = await standing(read_store, "a")
    await read_store.freshness.beat("one", {SOURCE: Word(None, 0.0)}, [(SOURCE, a)], 60)
    after = await standing(read_store, "a")
    assert (after.freshness(0).state, after.confirmed) == ("unknown", before.confirmed)


@pytest.mark.parametrize("way", ["ended", "silent"])
async def test_the_last_word_of_a_worker_that_is_gone_is_kept(read_store: ReadStore, way: str) -> None:
    (a,) = await followed(read_store, "a")
    await beat(read_store, 3.0)
    await read_store.freshness.confirm("one", [(SOURCE, a)])
    before = await standing(read_store, "a")
    if way != "ended":
        await read_store.pool.execute("update heartbeat set at = now() - interval '1 hour'")
    await read_store.freshness.retire("one" if way == "ended" else "another")
    assert await read_store.pool.fetch("select from heartbeat") == []
    after = await standing(read_store, "a")
    assert (after.confirmed, after.freshness(0).state) == (before.confirmed, "current")


async def test_a_run_says_what_it_found_and_for_how_long_that_holds(read_store: ReadStore) -> None:
    await followed(read_store, "a", "b")
    await read_store.freshness.confirm_once({"fresh.example/a": 100.0, "fresh.example/b": 100.0}, 3600)
    assert (await standing(read_store, "a")).freshness(0).state == "current"
    await read_store.freshness.confirm_once({"fresh.example/a": 4000.0}, 3600)
    assert (await standing(read_store, "a")).freshness(0).state == "current", "an older word is nothing new"
    confirmable = await read_store.freshness.confirmable()
    assert (confirmable.age >= 100, confirmable.unconfirmed, confirmable.silent) == (True, frozenset(), False)


async def test_what_is_told_to_those_who_follow_this_copy(read_store: ReadStore) -> None:
    """Only what the sources confirm, with the age of their word; nothing of a copy that is stopped, or not complete."""
    assert await read_store.freshness.confirmable() == (0.0, frozenset(), False)
    a, b, c, _ = await followed(read_store, "a", "b", "c", "d")
    assert (await read_store.freshness.confirmable()).silent
    await beat(read_store, 7.0)
    await read_store.freshness.confirm("one", [(SOURCE, log) for log in (a, b, c)])
    await read_store.freshness.offer({"fresh.example/b": 9})
    await read_store.evidence.contradict(c, ValueError("a lie"), SOURCE, stop=True)
    told = await read_store.freshness.confirmable()
    assert told.unconfirmed == {"fresh.example/b", "fresh.example/c", "fresh.example/d"}
    assert (told.age >= 7, told.silent) == (True, False)
