"""Incident 16: a log's signing key lay on an exposed host (DigiCert CT2).

Mirrors and the read API hold no key of a log, and cannot sign a head. When a key is changed, the old one and the new
one both verify across the change.
"""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import mintmark
from mintmark.config.settings import ApiSettings, MirrorSettings
from mintmark.errors import BadSignature
from mintmark.mirror.catch_up import CatchUp
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.note import MLDSA44, SecretKey, generate_skey, parse_vkey
from tests.support.commands import spawn
from tests.support.places import mirror_config
from tests.support.world import World, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mintmark.store.mirror.read_store import ReadStore
    from mintmark.tlog.note import Verifier

SOURCE = Path(mintmark.__file__).parent
SECRETS = {"SecretKey", "generate_skey", "parse_skey", "read_keys", "sign_checkpoint", "sign_note"}


def named(file: Path) -> set[str]:
    """Every name that a module uses."""
    nodes = list(ast.walk(ast.parse(file.read_text())))
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    return imported | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("part", ["mirror", "api", "store", "rpc"])
def test_no_code_of_theirs_reads_a_secret_key_or_signs_a_head(part: str) -> None:
    files = list((SOURCE / part).rglob("*.py"))
    assert files
    assert not {name for file in files for name in named(file)} & SECRETS


def test_their_settings_have_no_place_for_a_logs_key() -> None:
    assert "keys" not in MirrorSettings.model_fields.keys() | ApiSettings.model_fields.keys()
    assert "key" not in ApiSettings.model_fields
    assert "own" in (MirrorSettings.model_fields["key"].description or "")


async def test_a_mirror_refuses_to_cosign_with_a_key_that_signs_heads(read_db: str, tmp_path: Path) -> None:
    world = World()
    world.append([os.urandom(20) for _ in range(10)])
    own = tmp_path / "own.key"
    own.write_text(generate_skey("mirror.example/one").skey + "\n")
    async with serve(world) as address:
        config = mirror_config(tmp_path, read_db, [address], world)
        with config.open("a") as file:
            file.write(f"key = {json.dumps(str(own))}\n")
        result = await spawn("mirror", "--config", config, "--once", "--deadline", "5")
    assert result.code == 1
    assert "Traceback" not in result.err
    assert "cosign" in result.err


class Rotation:
    """A log whose key is changed: signed by the old one, by both, by the new one."""

    def __init__(self, new: int) -> None:
        self.world = World()
        self.old, self.new = self.world.signer, generate_skey(self.world.origin, new)

    def append(self, *signers: SecretKey) -> bytes:
        """Grows by 300 entries; the head, signed by these."""
        world = self.world
        world.append([os.urandom(20) for _ in range(300)])
        world.notes[-1] = sign_checkpoint(world.origin, world.size, world.edge.root(), signers).note
        return world.notes[-1]


def keys(*signers: SecretKey) -> list[Verifier]:
    return [parse_vkey(signer.vkey) for signer in signers]


async def steps(store: ReadStore, rotation: Rotation, verifiers: Iterable[Verifier], note: bytes) -> bool:
    """A step of a mirror that was started with these keys."""
    return await CatchUp(store, rotation.world.origin, list(verifiers)).step(rotation.world, note, "opaque")


@pytest.mark.parametrize("kind", [1, MLDSA44], ids=["ed25519", "ml-dsa-44"])
async def test_old_and_new_key_both_verify_across_a_rotation(
    read_store: ReadStore, check_log: Callable[..., object], kind: int
) -> None:
    rotation = Rotation(kind)
    old, new, both = (keys(*signers) for signers in ([rotation.old], [rotation.new], [rotation.old, rotation.new]))
    first = rotation.append(rotation.old)
    assert await steps(read_store, rotation, old, first)

    across = rotation.append(rotation.old, rotation.new)
    assert await steps(read_store, rotation, old, across)  # who has not heard of the new key
    assert await steps(read_store, rotation, both, across)  # who has
    third = rotation.append(rotation.old, rotation.new)
    assert await steps(read_store, rotation, both, third)

    last = rotation.append(rotation.new)
    with pytest.raises(BadSignature):
        await steps(read_store, rotation, old, last)
    assert await steps(read_store, rotation, both, last)
    final = rotation.append(rotation.new)
    assert await steps(read_store, rotation, new, final)
    assert (await read_store.head(1)).size == rotation.world.size
    await check_log(read_store.pool.conninfo, rotation.world.origin, both)


async def test_the_old_key_says_nothing_once_it_is_not_trusted(read_store: ReadStore) -> None:
    rotation = Rotation(1)
    assert await steps(
        read_store, rotation, keys(rotation.old, rotation.new), rotation.append(rotation.old, rotation.new)
    )
    thief = rotation.append(rotation.old)
    with pytest.raises(BadSignature):
        await steps(read_store, rotation, keys(rotation.new), thief)
    assert (await read_store.head(1)).size == 300
