"""By a tlog-policy, a proof carries its witnesses' cosignatures and is believed for them; offline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mintmark.cli import exits
from mintmark.tlog.cosignature import cosign
from mintmark.tlog.note import COSIGNATURE, MLDSA44, generate_skey
from tests.support.commands import spawn
from tests.support.world import World, serve

if TYPE_CHECKING:
    from pathlib import Path

    from mintmark.tlog.note import SecretKey
    from tests.support.commands import Result

TIME = 1_790_000_000


@pytest.fixture
def world() -> World:
    world = World()
    world.append([b"entry %d" % index for index in range(700)])
    return world


@pytest.fixture(params=[COSIGNATURE, MLDSA44], ids=["ed25519", "mldsa44"])
def mirror(request: pytest.FixtureRequest) -> SecretKey:
    return generate_skey("mirror.example", request.param)


async def prove(world: World, tmp_path: Path) -> Result:
    files = ("--index", "301", "-o", tmp_path / "proof", "--entry-out", tmp_path / "entry")
    async with serve(world) as address:
        where = ("--grpc", address, "--vkey", world.signer.vkey)
        return await spawn("prove", world.origin, *files, "--policy", tmp_path / "policy", *where)


async def verify(tmp_path: Path) -> Result:
    return await spawn(
        "verify", tmp_path / "proof", "--entry", tmp_path / "entry", "--policy", tmp_path / "policy", "--json"
    )


async def test_a_witnessed_proof(world: World, mirror: SecretKey, tmp_path: Path) -> None:
    world.notes[-1] = cosign(world.notes[-1], mirror, TIME)
    stranger = cosign(world.notes[-1], generate_skey("stranger.example", COSIGNATURE), TIME)
    noted, world.notes[-1] = world.notes[-1], stranger
    policy = tmp_path / "policy"
    policy.write_text(f"log {world.signer.vkey}\nwitness m {mirror.vkey}\nquorum m\n")
    assert (await prove(world, tmp_path)).code == exits.OK
    assert (tmp_path / "proof").read_bytes().endswith(b"\n\n" + noted)  # and nothing of the stranger's
    result = await verify(tmp_path)
    assert result.code == exits.OK
    answer = json.loads(result.out)
    assert (answer["index"], answer["size"], answer["witnesses"]) == (301, 700, {"m": TIME})


async def test_a_proof_without_its_quorum(world: World, mirror: SecretKey, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.write_text(f"log {world.signer.vkey}\nwitness m {mirror.vkey}\nquorum none\n")
    assert (await prove(world, tmp_path)).code == (await verify(tmp_path)).code == exits.OK
    policy.write_text(f"log {world.signer.vkey}\nwitness m {mirror.vkey}\nquorum m\n")
    for result, code in ((await prove(world, tmp_path), exits.NOT_YET), (await verify(tmp_path), exits.LIED)):
        assert result.code == code  # a cosignature may be to come; a proof in a file gets none
        assert f"the quorum 'm' did not cosign {world.origin} at size 700" in result.err


async def test_any_other_entry_log_or_policy(world: World, tmp_path: Path) -> None:
    policy, entry = tmp_path / "policy", tmp_path / "entry"
    policy.write_text(f"log {world.signer.vkey}\nquorum none\n")
    assert (await prove(world, tmp_path)).code == exits.OK
    for text in ("quorum none\n", f"log {generate_skey(world.origin).vkey}\nquorum none\n"):
        policy.write_text(text)
        assert (await verify(tmp_path)).code == exits.LIED
    for text in ("", "quorum some\n", f"log {world.signer.vkey}\n"):  # no policies
        policy.write_text(text)
        result = await verify(tmp_path)
        assert (result.code, f"{policy} is not a policy" in result.err) == (exits.ERROR, True)
    policy.write_text(f"log {world.signer.vkey}\nquorum none\n")
    entry.write_bytes(b"entry 302")
    assert (await verify(tmp_path)).code == exits.LIED


async def test_keys_beside_a_policy(world: World, tmp_path: Path) -> None:
    for name in ("proof", "entry", "policy"):
        (tmp_path / name).touch()
    files = (tmp_path / "proof", "--entry", tmp_path / "entry", "--policy", tmp_path / "policy")
    result = await spawn("verify", *files, "--vkey", world.signer.vkey)
    assert result.code == exits.USAGE
    assert "--policy" in result.err
