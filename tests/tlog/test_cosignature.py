"""Cosignatures: what a mirror adds to a checkpoint, and when it says that it did."""

from __future__ import annotations

import base64

import pytest

from mintmark.errors import BadSignature, Malformed, Misconfigured
from mintmark.tlog.algorithms import signature_time
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.cosignature import cosign, cosignatures
from mintmark.tlog.note import (
    COSIGNATURE,
    MLDSA44,
    SecretKey,
    Signature,
    format_note,
    generate_skey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
)
from tests.support import vectors

ORIGIN, ROOT, TIME = "log.example/a", bytes(range(32)), 1_700_000_000
LOG = generate_skey(ORIGIN)
HEAD = sign_checkpoint(ORIGIN, 3, ROOT, [LOG])


@pytest.fixture(params=[COSIGNATURE, MLDSA44], ids=["ed25519", "mldsa44"])
def mirror(request: pytest.FixtureRequest) -> SecretKey:
    return generate_skey("mirror.example", request.param)


def test_a_cosigned_note(mirror: SecretKey) -> None:
    note, key = cosign(HEAD.note, mirror, TIME), parse_vkey(mirror.vkey)
    assert note.startswith(HEAD.note)
    opened = open_note(note, [parse_vkey(LOG.vkey), key])
    assert [line.name for line in opened.verified] == [ORIGIN, "mirror.example"]
    assert cosignatures(opened, [key]) == {key: TIME}


def test_the_bytes_that_are_signed() -> None:
    """Of type 0x04: the whole text, behind the time; nothing of the cosigner's name."""
    mirror = generate_skey("mirror.example", COSIGNATURE)
    signature = parse_note(cosign(HEAD.note, mirror, TIME))[1][-1].signature
    text = parse_note(HEAD.note)[0]
    assert signature == TIME.to_bytes(8, "big") + mirror.sign(b"cosignature/v1\ntime 1700000000\n" + text)


def test_a_newer_cosignature_takes_the_place_of_the_older(mirror: SecretKey) -> None:
    other = generate_skey("other.example", COSIGNATURE)
    twice = cosign(cosign(cosign(HEAD.note, mirror, TIME), other, TIME), mirror, TIME + 9)
    keys = [parse_vkey(signer.vkey) for signer in (LOG, mirror, other)]
    opened = open_note(twice, keys)
    assert [line.name for line in opened.verified] == [ORIGIN, "other.example", "mirror.example"]
    assert len(parse_note(twice)[1]) == 3
    assert cosignatures(opened, keys) == {keys[1]: TIME + 9, keys[2]: TIME}


def test_another_time_is_another_cosignature(mirror: SecretKey) -> None:
    text, (log, line) = parse_note(cosign(HEAD.note, mirror, TIME))
    later = (TIME + 1).to_bytes(8, "big") + line.signature[8:]
    with pytest.raises(BadSignature):
        open_note(format_note(text, [log, Signature(line.name, line.key_id, later)]), [parse_vkey(mirror.vkey)])


@pytest.mark.parametrize("time", [0, -1, 2**63])
def test_there_is_no_such_time(mirror: SecretKey, time: int) -> None:
    with pytest.raises(ValueError, match="time"):
        cosign(HEAD.note, mirror, time)


def test_a_time_that_no_clock_shows(mirror: SecretKey) -> None:
    line = sign_note(parse_note(HEAD.note)[0], mirror, 2**63)
    with pytest.raises(BadSignature):
        open_note(format_note(parse_note(HEAD.note)[0], [line]), [parse_vkey(mirror.vkey)])


def test_a_log_s_own_signature_is_no_cosignature() -> None:
    log = generate_skey(ORIGIN, MLDSA44)
    key = parse_vkey(log.vkey)
    assert cosignatures(open_note(sign_checkpoint(ORIGIN, 3, ROOT, [log]).note, [key]), [key]) == {}
    assert cosignatures(open_note(HEAD.note, [parse_vkey(LOG.vkey)]), [parse_vkey(LOG.vkey)]) == {}


def test_a_log_s_key_makes_none() -> None:
    with pytest.raises(Misconfigured, match="keygen --cosigner"):
        cosign(HEAD.note, LOG, TIME)


def test_only_checkpoints_are_cosigned(mirror: SecretKey) -> None:
    for text in (b"a text\n", parse_note(HEAD.note)[0] + b"extension\n"):
        with pytest.raises(Malformed):
            cosign(format_note(text, [sign_note(text, LOG)]), mirror, TIME)


@vectors.needed
def test_public_cosignatures() -> None:
    known = vectors.load("notes/keys.json")["cosignature_timestamp"]
    assert signature_time(base64.b64decode(known["base64"])[4:]) == known["timestamp"]
    notes = {case["id"]: case for case in vectors.load("notes/notes.json")}
    for name in ("sunlight-log-plus-cosig", "sunlight-mirror-cosig"):
        keys = [parse_vkey(vkey) for vkey in notes[name]["trusted_vkeys"]]
        found = cosignatures(open_note(notes[name]["note"].encode(), keys), keys)
        assert list(found) == [key for key in keys if key.kind == COSIGNATURE]
        assert all(1_577_836_800 < time < 2**32 for time in found.values())  # after 2020, and not in milliseconds
