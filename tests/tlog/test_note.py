"""Signed notes: the public ones, how strictly they are read, and what an untrusted line can do (nothing)."""

from __future__ import annotations

import base64
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import BadSignature, Malformed, Misconfigured
from mintmark.tlog.checkpoint import open_checkpoint
from mintmark.tlog.note import (
    COSIGNATURE,
    ED25519,
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    MLDSA44,
    Signature,
    format_note,
    generate_skey,
    open_note,
    parse_note,
    parse_vkey,
    sign_note,
)
from tests.support import vectors
from tests.tlog.test_keys import names, vkey_of

if TYPE_CHECKING:
    from mintmark.tlog.note import SecretKey, Verifier

TEXT = b"a text\n\nwith an empty line\n"
HEAD = b"log.example/a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
ALICE, BOB = generate_skey("alice.example"), generate_skey("bob.example")


def verifiers(*signers: SecretKey) -> list[Verifier]:
    return [parse_vkey(signer.vkey) for signer in signers]


def signed(*signers: SecretKey, text: bytes = TEXT) -> bytes:
    return format_note(text, [sign_note(text, signer, 7) for signer in signers])


def id_of(line: Signature) -> str:
    return f"{line.name}+{line.key_id.hex()}"


def cases() -> list[Any]:
    found = vectors.load("notes/notes.json") if vectors.ROOT.is_dir() else []
    return [pytest.param(case, id=case["id"]) for case in found]


@vectors.needed
def test_there_are_39_public_notes() -> None:
    assert len(cases()) == 39


@pytest.mark.parametrize("case", cases())
def test_public_notes(case: dict[str, Any]) -> None:
    note, keys = case["note"].encode(), [parse_vkey(vkey) for vkey in case["trusted_vkeys"]]
    if case["expect"] in ("malformed", "unverified", "invalid-signature"):
        with pytest.raises(Malformed if case["expect"] == "malformed" else BadSignature):
            open_note(note, keys)
        return
    opened = open_note(note, keys)
    assert opened.text == note[: note.rindex(b"\n\n") + 1]
    if "verified" in case:
        known = {(key.name, key.key_id) for key in keys}
        unknown = {line: None for line in parse_note(note)[1] if (line.name, line.key_id) not in known}
        assert [id_of(line) for line in opened.verified] == case["verified"]
        assert [id_of(line) for line in unknown] == case["unverified"]
    if case["expect"] == "ok-signature-but-reject-checkpoint":
        with pytest.raises(Malformed, match="belongs"):
            open_checkpoint(note, keys[0].name, keys)


@pytest.mark.parametrize("kind", [ED25519, COSIGNATURE, MLDSA44])
def test_a_signature_with_anything_changed(kind: int) -> None:
    signer = generate_skey("alice.example", kind)
    line = sign_note(HEAD, signer, 7)
    assert open_note(format_note(HEAD, [line]), verifiers(signer)).verified == (line,)
    whole = line.signature
    places = (*range(12), len(whole) // 2, len(whole) - 1)
    for spoilt in [
        *[whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in places],
        whole[:-1], whole + b"\0", whole[:8], whole[:7], b"\0", b"\xff" * len(whole),
    ]:  # fmt: skip
        with pytest.raises(BadSignature, match="does not verify"):
            open_note(format_note(HEAD, [replace_signature(line, spoilt)]), verifiers(signer))
    with pytest.raises(BadSignature):
        open_note(format_note(HEAD.replace(b"/a", b"/b"), [line]), verifiers(signer))


def replace_signature(line: Signature, signature: bytes) -> Signature:
    return Signature(line.name, line.key_id, signature)


def test_the_lengths_of_lines() -> None:
    for kind, size in ((ED25519, 92), (COSIGNATURE, 104), (MLDSA44, 3244)):
        note = signed(generate_skey("a", kind), text=HEAD)
        assert len(note.split(b" ")[-1]) == size + 1


def test_a_known_key_s_bad_signature_spoils_the_note() -> None:
    """It is not one more unknown, even where another key's is good."""
    good, bad = sign_note(TEXT, ALICE), sign_note(b"another\n", BOB)
    note = format_note(TEXT, [good, bad])
    assert open_note(note, verifiers(ALICE)).verified == (good,)
    with pytest.raises(BadSignature, match="bob") as refused:
        open_note(note, verifiers(ALICE, BOB))
    assert refused.value.notes == (note,)


def test_a_key_is_known_by_its_name_and_its_id() -> None:
    stranger = replace(BOB, name=ALICE.name)
    for lines in ([sign_note(TEXT, stranger)], [Signature("eve.example", ALICE.key_id, b"x")]):
        with pytest.raises(BadSignature, match="trusted key"):
            open_note(format_note(TEXT, lines), verifiers(ALICE))


def test_the_first_of_a_key_s_lines_is_the_one() -> None:
    good, bad = sign_note(TEXT, ALICE), replace_signature(sign_note(TEXT, ALICE), bytes(64))
    assert open_note(format_note(TEXT, [good, bad, good]), verifiers(ALICE)).verified == (good,)
    with pytest.raises(BadSignature):
        open_note(format_note(TEXT, [bad, good]), verifiers(ALICE))


def test_strangers_are_left_out() -> None:
    lines = [
        sign_note(TEXT, generate_skey("eve.example")),
        sign_note(TEXT, ALICE),
        Signature("eve.example", bytes(4), b"x"),
    ]
    assert open_note(format_note(TEXT, lines), verifiers(BOB, ALICE)).verified == (lines[1],)


def test_two_keys_that_cannot_be_told_apart() -> None:
    twin = replace(verifiers(BOB)[0], name=ALICE.name, key_id=ALICE.key_id)
    with pytest.raises(Misconfigured, match=ALICE.key_id.hex()):
        open_note(signed(ALICE), [*verifiers(ALICE), twin])
    open_note(signed(ALICE), verifiers(ALICE, ALICE))


def test_up_to_100_signatures() -> None:
    strangers = [Signature(f"eve{i}.example", bytes(4), b"x") for i in range(MAX_SIGNATURES - 1)]
    note = format_note(TEXT, [*strangers, sign_note(TEXT, ALICE)])
    assert len(open_note(note, verifiers(ALICE)).verified) == 1
    more = note + note[note.rindex("—".encode()) :]
    with pytest.raises(Malformed, match="101 signatures"):
        open_note(more, verifiers(ALICE))
    with pytest.raises(Malformed):
        format_note(TEXT, [*strangers, *strangers])


def test_a_note_of_16_post_quantum_signatures_is_read_and_an_endless_one_is_not() -> None:
    signers = [generate_skey(f"w{i}.example", MLDSA44) for i in range(16)]
    assert len(open_note(signed(*signers, text=HEAD), verifiers(*signers)).verified) == 16
    with pytest.raises(Malformed, match="1,000,000"):
        parse_note(b"x" * MAX_NOTE_BYTES + signed(ALICE))


NOTE = signed(ALICE)
LINE = NOTE[len(TEXT) + 1 :]


@pytest.mark.parametrize(
    "note",
    [
        b"", b"\n", b"\n\n", TEXT, TEXT + b"\n", LINE, b"\n" + LINE, TEXT[:-1] + b"\n" + LINE, TEXT + LINE, NOTE[:-1],
        NOTE + b"\n", NOTE + b"more\n", NOTE + b"more", b"\t" + NOTE, b"\0" + NOTE, b"\xff" + NOTE,
        b"\xed\xa0\x80" + NOTE,
        *[
            TEXT + b"\n" + line
            for line in [
                LINE.replace("—".encode(), b"-"), b" " + LINE, LINE.replace(b" ", b"  ", 1), LINE.replace(b".", b"+"),
                LINE.replace(b"\n", b" \n"), LINE.replace(b"\n", b"\r\n"), LINE.replace(b".", "\u00a0".encode()),
                LINE.replace(b".", "\u2028".encode()), "— a AAAAAA==\n".encode(), "—  AAAAAAA=\n".encode(),
                "— AAAAAAA=\n".encode(), "— a AAAAAAB=\n".encode(), "— a AAAAAAA\n".encode(),
                "— a AAAAAAA=AAAA\n".encode(),
            ]
        ],
    ],
)  # fmt: skip
def test_what_is_no_note(note: bytes) -> None:
    with pytest.raises(Malformed):
        open_note(note, verifiers(ALICE))


def test_the_last_empty_line_divides() -> None:
    assert parse_note(signed(ALICE))[0] == TEXT
    inner = signed(ALICE)
    assert open_note(signed(BOB, text=inner), verifiers(BOB)).text == inner


def test_characters_that_only_look_like_line_ends_are_text() -> None:
    text = "a\x85b\u2028c\x7f\u00a0\n".encode()
    assert open_note(signed(ALICE, text=text), verifiers(ALICE)).text == text


signatures = st.lists(
    st.builds(Signature, names, st.binary(min_size=4, max_size=4), st.binary(min_size=1, max_size=80)),
    min_size=1,
    max_size=5,
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=[chr(i) for i in range(32) if i != 10]))


@given(texts, signatures)
def test_a_note_is_read_as_it_is_printed(text: str, lines: list[Signature]) -> None:
    body = text.encode() + b"\n"
    assert parse_note(format_note(body, lines)) == (body, tuple(lines))


@given(
    st.binary(max_size=80)
    | st.tuples(texts, st.sampled_from(["", "\n", "\n\n", "\n\n— a AAAAAAA=\n"])).map("".join).map(str.encode)
)
def test_any_bytes_are_a_note_or_malformed(note: bytes) -> None:
    try:
        text, lines = parse_note(note)
    except Malformed:
        return
    assert format_note(text, lines) == note


@given(st.integers(0, len(signed(ALICE)) - 1), st.integers(1, 255))
def test_no_byte_of_a_note_can_be_changed(at: int, change: int) -> None:
    note = signed(ALICE)
    with pytest.raises((Malformed, BadSignature)):
        open_note(note[:at] + bytes([note[at] ^ change]) + note[at + 1 :], verifiers(ALICE))


@pytest.mark.parametrize("text", [b"", b"no line end", b"\xff\n", b"\0\n", b"\r\n"])
def test_a_text_that_cannot_be_signed(text: bytes) -> None:
    with pytest.raises(Malformed):
        signed(ALICE, text=text)
    with pytest.raises(Malformed):
        format_note(TEXT, [])


@vectors.needed
def test_tree_heads_of_certificate_transparency() -> None:
    """A get-sth answer as a note (static-ct-api): the key has type 0x05, the time is in milliseconds."""
    known = vectors.load("notes/sth.json")
    sth, key = known["rfc6962_sth"], parse_vkey(known["vkey"])
    text = f"{key.name}\n{sth['tree_size']}\n{sth['sha256_root_hash']}\n".encode()
    signature = sth["timestamp"].to_bytes(8, "big") + base64.b64decode(sth["tree_head_signature"])
    line = Signature(key.name, key.key_id, signature)
    assert open_note(format_note(text, [line]), [key]).verified == (line,)
    spoilt = [
        bytes([signature[0] ^ 1]) + signature[1:],
        signature[:9] + b"\x01" + signature[10:],
        signature[:8] + b"\x05" + signature[9:],
        signature + b"\0",
        signature[:11],
    ]
    for other in spoilt:
        with pytest.raises(BadSignature):
            open_note(format_note(text, [replace_signature(line, other)]), [key])
    sunlight = base64.b64decode(known["sunlight_sth_key"])
    sth = known["sunlight_sth"]
    key = parse_vkey(rfc6962_vkey("sunlight.example", sunlight))
    text = f"{key.name}\n{sth['tree_size']}\n{sth['sha256_root_hash']}\n".encode()
    signature = sth["timestamp"].to_bytes(8, "big") + base64.b64decode(sth["tree_head_signature"])
    assert open_note(format_note(text, [Signature(key.name, key.key_id, signature)]), [key])


def rfc6962_vkey(name: str, spki: bytes) -> str:
    return vkey_of(name, 0x05, spki, sha256(spki).digest())


@pytest.mark.parametrize("private", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_a_tree_head_by_a_key_of_either_algorithm(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    """RFC 6962 allows both; the line names which, and may not name the other."""
    key = parse_vkey(rfc6962_vkey("ct.example", spki_of(private)))
    message = b"\x00\x01" + bytes(8) + bytes(8) + base64.b64decode(HEAD.split(b"\n")[2])
    if isinstance(private, rsa.RSAPrivateKey):
        algorithm, bare = 1, private.sign(message, padding.PKCS1v15(), hashes.SHA256())
    else:
        algorithm, bare = 3, private.sign(message, ec.ECDSA(hashes.SHA256()))
    for named in (1, 3):
        signature = bytes(8) + bytes([4, named]) + len(bare).to_bytes(2, "big") + bare
        assert key.verifies(HEAD, signature) is (named == algorithm)


def test_ecdsa_keys_whatever_their_name() -> None:
    private = ec.generate_private_key(ec.SECP521R1())
    spki = spki_of(private)
    vkey = f"any.example+{sha256(spki).digest()[:4].hex()}+{base64.b64encode(bytes([2]) + spki).decode()}"
    line = Signature("any.example", sha256(spki).digest()[:4], private.sign(TEXT, ec.ECDSA(hashes.SHA256())))
    assert open_note(format_note(TEXT, [line]), [parse_vkey(vkey)]).verified == (line,)
    koblitz = spki_of(ec.generate_private_key(ec.SECP256K1()))
    with pytest.raises(Malformed, match="secp256r1"):
        parse_vkey(
            f"any.example+{sha256(koblitz).digest()[:4].hex()}+{base64.b64encode(bytes([2]) + koblitz).decode()}"
        )


def spki_of(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
