"""Checkpoints: whose, of what, and never more than was verified."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import BadSignature, Malformed, Misconfigured, ProofError
from mintmark.tlog.checkpoint import Checkpoint, open_checkpoint, parse_tree_head, sign_checkpoint
from mintmark.tlog.kernel import EMPTY_ROOT, leaf_hash, leaf_hashes
from mintmark.tlog.note import (
    COSIGNATURE,
    MLDSA44,
    SecretKey,
    Signature,
    format_note,
    generate_skey,
    open_note,
    parse_note,
    parse_skey,
    parse_vkey,
    sign_note,
)
from mintmark.tlog.text import TreeHead, format_tree_head
from tests.support import vectors
from tests.support.tree import Tree

ORIGIN, ROOT = "log.example/a", bytes(range(32))
SIGNER, MLDSA = generate_skey(ORIGIN), generate_skey(ORIGIN, MLDSA44)
KEYS = [parse_vkey(SIGNER.vkey)]
TEXT = format_tree_head(TreeHead(ORIGIN, 3, ROOT))

origins = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: min(text) >= " " and len(text.encode()) <= 255
)


def test_what_is_signed_is_opened() -> None:
    head = sign_checkpoint(ORIGIN, 3, ROOT, [SIGNER, MLDSA])
    assert head.note.startswith(b"log.example/a\n3\n" + base64.b64encode(ROOT) + b"\n\n")
    assert open_checkpoint(head.note, ORIGIN, [*KEYS, parse_vkey(MLDSA.vkey)]) == head
    (ed25519, mldsa) = parse_note(head.note)[1]
    assert mldsa.signature[:8] == bytes(8)  # a log's signature has no time
    assert open_checkpoint(head.note, ORIGIN, KEYS).note == format_note(TEXT, [ed25519])


def test_its_note_has_verified_signatures_only() -> None:
    head = sign_checkpoint(ORIGIN, 3, ROOT, [SIGNER])
    forged = [Signature(ORIGIN, b"\1\2\3\4", b"forged"), Signature("mirror.example", b"\1\2\3\4", b"forged")]
    polluted = format_note(TEXT, [forged[0], *parse_note(head.note)[1], forged[1]])
    assert open_checkpoint(polluted, ORIGIN, KEYS) == head


def test_another_log_s() -> None:
    note = sign_checkpoint("log.example/b", 3, ROOT, [SIGNER]).note
    with pytest.raises(Malformed, match="where one of '"):
        open_checkpoint(note, ORIGIN, KEYS)
    for near in (ORIGIN + " ", ORIGIN + "/", ORIGIN.upper(), " " + ORIGIN):
        with pytest.raises(Malformed):
            open_checkpoint(sign_checkpoint(near, 3, ROOT, [SIGNER]).note, ORIGIN, KEYS)


def test_keys_that_are_not_the_log_s() -> None:
    note = sign_checkpoint(ORIGIN, 3, ROOT, [SIGNER]).note
    for keys in ([], [parse_vkey(generate_skey(ORIGIN).vkey)], [parse_vkey(MLDSA.vkey)]):
        with pytest.raises(BadSignature, match="trusted key"):
            open_checkpoint(note, ORIGIN, keys)


def test_a_cosigner_s_key_is_no_log_s_key() -> None:
    cosigner = generate_skey(ORIGIN, COSIGNATURE)
    with pytest.raises(Misconfigured, match="keygen"):
        sign_checkpoint(ORIGIN, 3, ROOT, [SIGNER, cosigner])
    with pytest.raises(Misconfigured, match="keygen"):
        sign_checkpoint(ORIGIN, 3, ROOT, [])
    note = format_note(TEXT, [sign_note(TEXT, cosigner, 7)])
    open_note(note, [parse_vkey(cosigner.vkey)])
    with pytest.raises(BadSignature):
        open_checkpoint(note, ORIGIN, [parse_vkey(cosigner.vkey)])


def test_the_empty_tree_has_one_root() -> None:
    assert open_checkpoint(sign_checkpoint(ORIGIN, 0, EMPTY_ROOT, [SIGNER]).note, ORIGIN, KEYS).size == 0
    note = sign_checkpoint(ORIGIN, 0, ROOT, [SIGNER]).note
    with pytest.raises(ProofError, match="size 0") as lie:
        open_checkpoint(note, ORIGIN, KEYS)
    assert lie.value.notes == (note,)


def test_an_extension_line_is_refused() -> None:
    """A signature of type 0x06 does not cover it."""
    text = TEXT + b"more\n"
    with pytest.raises(Malformed, match="extension"):
        open_checkpoint(format_note(text, [sign_note(text, SIGNER)]), ORIGIN, KEYS)
    with pytest.raises(Malformed, match="extension"):
        sign_note(text, MLDSA)
    with pytest.raises(BadSignature):
        open_checkpoint(format_note(text, [sign_note(TEXT, MLDSA)]), ORIGIN, [parse_vkey(MLDSA.vkey)])


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        ("", 3, ROOT), ("a\nb", 3, ROOT), ("a\0", 3, ROOT), ("\ud800", 3, ROOT), ("a" * 256, 3, ROOT),
        ("ü" * 128, 3, ROOT), (ORIGIN, -1, ROOT), (ORIGIN, 2**63, ROOT), (ORIGIN, 3, b""), (ORIGIN, 3, ROOT[:-1]),
        (ORIGIN, 3, ROOT + b"\0"),
    ],
)  # fmt: skip
def test_what_no_log_can_sign(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(Malformed):
        sign_checkpoint(origin, size, root, [SIGNER])


@given(origins, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_text_is_read_as_it_is_printed(origin: str, size: int, root: bytes) -> None:
    head = TreeHead(origin, size, root)
    assert parse_tree_head(format_tree_head(head)) == head


@given(st.binary(max_size=80) | st.tuples(st.sampled_from(["a", "", "\x85"]), st.from_regex(r"[0-9+-]{0,3}")).map(
    lambda lines: f"{lines[0]}\n{lines[1]}\n{base64.b64encode(ROOT).decode()}\n".encode()
))  # fmt: skip
def test_any_bytes_are_a_text_or_malformed(text: bytes) -> None:
    try:
        head = parse_tree_head(text)
    except Malformed:
        return
    assert format_tree_head(head) == text


@vectors.needed
def test_public_texts() -> None:
    known = vectors.load("notes/checkpoint_body_parse.json")
    head = parse_tree_head(known["gosum"]["text"].encode())
    assert head.size == known["gosum"]["size"]
    assert head.root == leaf_hash(known["gosum"]["root_is_leaf_hash_of"].encode())
    for text in known["bad"]:
        with pytest.raises(Malformed):
            parse_tree_head(text.encode())
    rest = b"\n3\n" + base64.b64encode(ROOT) + b"\n"
    for length in known["origin_bytes_valid"]:
        parse_tree_head(b"a" * length + rest)
    for length in known["origin_bytes_invalid"]:
        with pytest.raises(Malformed):
            parse_tree_head(b"a" * length + rest)


@pytest.mark.parametrize("origin", ["go.sum database tree", "Armory Drive Prod 2"])
def test_an_origin_may_have_spaces_though_no_key_may(origin: str) -> None:
    assert open_checkpoint(sign_checkpoint(origin, 3, ROOT, [SIGNER]).note, origin, KEYS).origin == origin


def tessera_key() -> SecretKey:
    keys = vectors.load("notes/keys.json")["signer_keys_TEST_ONLY"]
    return next(parse_skey(key["skey"]) for key in keys if "testdata" in key["skey"])


@vectors.needed
@pytest.mark.parametrize("size", range(1, 16))
def test_a_public_log(size: int) -> None:
    """Its checkpoints, byte for byte; its tiles; and the root, from its entries."""
    log, signer = vectors.ROOT / "tessera/testdata/log", tessera_key()
    note = (log / f"checkpoint.{size}").read_bytes()
    head = open_checkpoint(note, signer.name, [parse_vkey(signer.vkey)])
    entries = (log / f"tile/entries/000.p/{size}").read_bytes()
    hashes = leaf_hashes(entries)
    assert hashes == (log / f"tile/0/000.p/{size}").read_bytes()
    assert (head.size, head.root) == (size, Tree.of(entries).edge.root())
    assert sign_checkpoint(signer.name, size, head.root, [signer]) == head
    assert head.note == note


@vectors.needed
def test_the_public_log_before_its_first_entry() -> None:
    signer = tessera_key()
    note = (vectors.ROOT / "tessera/testdata/log/checkpoint.0").read_bytes()
    assert open_checkpoint(note, signer.name, [parse_vkey(signer.vkey)]) == Checkpoint(signer.name, 0, EMPTY_ROOT, note)


@vectors.needed
def test_a_post_quantum_log() -> None:
    known: dict[str, Any] = vectors.load("torchwood/mldsa44_log_checkpoint.json")
    key = parse_vkey(known["vkey"])
    seed = base64.b64encode(b"\x06" + bytes.fromhex(known["seed_hex"])).decode()
    signer = parse_skey(f"PRIVATE+KEY+{known['name']}+{known['key_id_hex']}+{seed}")
    assert signer.vkey == known["vkey"]
    note = (vectors.ROOT / "torchwood" / known["note_file"]).read_bytes()
    head = open_checkpoint(note, known["name"], [key])
    assert (head.size, head.root, head.note) == (1, leaf_hash(b"testonly"), note)
    again = sign_checkpoint(known["name"], 1, head.root, [signer])
    assert open_checkpoint(again.note, known["name"], [key]) == again
    assert signed_message(signer, head) == bytes.fromhex(known["cosigned_message_hex"])


def signed_message(signer: SecretKey, head: Checkpoint) -> bytes:
    """What a signer that keeps its key elsewhere is asked to sign."""
    asked = []

    class Elsewhere:
        name, kind, key_id, vkey = signer.name, signer.kind, signer.key_id, signer.vkey

        def sign(self, message: bytes) -> bytes:
            asked.append(message)
            return signer.sign(message)

    sign_checkpoint(head.origin, head.size, head.root, [Elsewhere()])
    return asked[0]
