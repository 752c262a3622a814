"""Every key of a mirror cosigns each head: one at least while another is taken out of use, as with a log's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mintmark.errors import Misconfigured
from mintmark.mirror.run_once import once
from mintmark.mirror.server import check_cosigners
from mintmark.mirror.worker import Worker
from mintmark.tlog.cosignature import cosignatures
from mintmark.tlog.note import COSIGNATURE, ED25519, MLDSA44, generate_skey, open_note, parse_vkey
from tests.support.world import World

if TYPE_CHECKING:
    from mintmark.store.mirror.read_store import ReadStore

NAME = "mirror.example"
KEYS = [generate_skey(NAME, COSIGNATURE), generate_skey(NAME, MLDSA44), generate_skey(NAME, COSIGNATURE)]


async def test_all_keys_cosign(read_store: ReadStore) -> None:
    world = World()
    world.append([b"entry %d" % index for index in range(300)])
    worker = Worker("one", read_store, [world], {world.origin: world.verifiers}, cosigners=KEYS)
    (reached,) = await once(worker, 5)
    assert reached.done
    verifiers = [parse_vkey(key.vkey) for key in KEYS]
    note = (await read_store.head(1)).note
    assert set(cosignatures(open_note(note, [*world.verifiers, *verifiers]), verifiers)) == set(verifiers)


def test_each_key_is_a_cosigner_s_and_no_log_s() -> None:
    trust = {"log.example/a": [parse_vkey(generate_skey("log.example/a").vkey)]}
    check_cosigners(KEYS, trust)
    with pytest.raises(Misconfigured, match="keygen --cosigner"):
        check_cosigners([*KEYS, generate_skey(NAME, ED25519)], trust)
    with pytest.raises(Misconfigured, match=r"is that of log.example/a"):
        check_cosigners(KEYS, {"log.example/a": [parse_vkey(KEYS[1].vkey)]})
