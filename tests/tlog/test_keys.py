"""The texts of keys, what a key is refused for, and which signatures the cryptography below accepts."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import Malformed
from mintmark.tlog.keys import COSIGNATURE, ED25519, MLDSA44, generate_skey, parse_skey, parse_vkey
from mintmark.tlog.keys import public_key as public_key_of
from mintmark.tlog.note import format_note, open_note, sign_note
from mintmark.tlog.origin import check_name
from tests.support import vectors

KINDS = (ED25519, COSIGNATURE, MLDSA44)
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
LOW_ORDER = [
    (y | sign << 255).to_bytes(32, "little")
    for y in (0, 1, P - 1, EIGHTH, P - EIGHTH, P, P + 1)
    for sign in (0, 1)
]  # fmt: skip

names = st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters="+"), min_size=1, max_size=40)


def vkey_of(name: str, kind: int, material: bytes, digested: bytes | None = None) -> str:
    """A vkey whose key ID is right, whatever its key is."""
    named = name.encode() + b"\n" + bytes([kind]) + (digested or material)
    key = base64.b64encode(bytes([kind]) + material).decode()
    return f"{name}+{hashlib.sha256(named).digest()[:4].hex()}+{key}"


@pytest.mark.parametrize("kind", KINDS)
@given(name=names)
def test_the_texts_of_a_key_are_read_as_they_are_printed(kind: int, name: str) -> None:
    signer = generate_skey(name, kind)
    again, verifier = parse_skey(signer.skey), parse_vkey(signer.vkey)
    assert again == signer
    assert (verifier.name, verifier.kind, verifier.key_id) == (name, kind, signer.key_id)
    assert verifier.vkey == signer.vkey == vkey_of(name, kind, public_key_of(signer.vkey))
    assert {verifier, parse_vkey(signer.vkey)} == {verifier}


@pytest.mark.parametrize(("kind", "length"), [(ED25519, 44), (COSIGNATURE, 44), (MLDSA44, 1752)])
def test_their_lengths(kind: int, length: int) -> None:
    assert len(generate_skey("a", kind).vkey) == len("a+01234567+") + length


@pytest.mark.parametrize("kind", KINDS)
def test_a_secret_key_is_shown_by_nothing_but_its_text(kind: int) -> None:
    signer = generate_skey("a", kind)
    seed = signer.skey.split("+", 4)[4]
    assert seed not in repr(signer) + str(signer)
    for text in (signer.skey[:-1], signer.skey.replace("+a+", "+b+"), signer.skey + "=", signer.skey[:-4] + "AAA="):
        with pytest.raises(Malformed) as refused:
            parse_skey(text)
        assert seed[:8] not in str(refused.value)


@vectors.needed
def test_published_keys() -> None:
    keys = vectors.load("notes/keys.json")
    for vkey in keys["valid_vkeys"]:
        assert parse_vkey(vkey).vkey == vkey
    for vkey in [*keys["invalid_vkeys"], *[case["vkey"] for case in keys["wrong_key_id_vkeys"]]]:
        with pytest.raises(Malformed):
            parse_vkey(vkey)
    for case in keys["signer_keys_TEST_ONLY"]:
        signer = parse_skey(case["skey"])
        assert (signer.skey, signer.vkey) == (case["skey"], case["vkey"])
        if "text" in case:
            text = case["text"].encode()
            assert format_note(text, [sign_note(text, signer)]) == case["signed_note"].encode()


@pytest.mark.parametrize(
    "name", ["", "a b", "a+b", "a\tb", "a\n", "a\x00", "a\u00a0b", "a\u2028", "a\x85", "a\u3000", "\ud800"]
)
def test_no_key_has_such_a_name(name: str) -> None:
    for make in (check_name, generate_skey, lambda name: parse_vkey(f"{name}+00000000+AAAA")):
        with pytest.raises(Malformed):
            make(name)


def test_a_name_is_measured_in_bytes() -> None:
    check_name("ü" * 127)
    check_name("a" * 255)
    for name in ("ü" * 128, "a" * 256):
        with pytest.raises(Malformed, match="1 to 255 bytes"):
            check_name(name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_text_with_anything_changed(kind: int) -> None:
    vkey = generate_skey("log.example/a", kind).vkey
    name, key_id, key = vkey.split("+", 2)
    for text in (
        vkey[:-1], vkey + "=", vkey + "\n", " " + vkey, "b" + vkey, vkey.replace("/a+", "/b+"), f"{name}+{key}", name,
        f"{name}+{key_id.upper()}x+{key}", f"{name}+{key_id[:6]}+{key}", f"{name}+{key_id}+", f"{name}+ {key_id}+{key}",
        f"{name}+{int(key_id, 16) ^ 1:08x}+{key}", f"{name}+{key_id}+Z{key[1:]}", f"+{key_id}+{key}", "",
    ):  # fmt: skip
        with pytest.raises(Malformed):
            parse_vkey(text)


def test_the_key_in_a_text_whose_base64_has_a_plus_sign() -> None:
    vkey = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx"
    assert public_key_of(parse_vkey(vkey).vkey) == base64.b64decode(vkey[-44:])[1:]


def test_a_key_id_in_capitals_is_another_text() -> None:
    name, key_id, key = ["example.com/foo", "530d903a", "AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"]
    parse_vkey(f"{name}+{key_id}+{key}")
    with pytest.raises(Malformed):
        parse_vkey(f"{name}+{key_id.upper()}+{key}")


@pytest.mark.parametrize("kind", [0x00, 0x03, 0x07, 0xFA, 0xFF])
def test_types_that_nobody_can_verify(kind: int) -> None:
    with pytest.raises(Malformed, match=f"unknown type 0x{kind:02x}"):
        parse_vkey(vkey_of("a", kind, bytes(32)))


@pytest.mark.parametrize(
    ("kind", "sizes"), [(ED25519, (0, 31, 33)), (COSIGNATURE, (0, 31, 33)), (MLDSA44, (0, 1311, 1313))]
)
def test_keys_of_another_length(kind: int, sizes: tuple[int, ...]) -> None:
    for size in sizes:
        with pytest.raises(Malformed):
            parse_vkey(vkey_of("a", kind, bytes([9]) * size))


@pytest.mark.parametrize("kind", [0x02, 0x05])
@pytest.mark.parametrize("material", [b"", b"\x30\x00", bytes(91)])
def test_what_is_no_subject_public_key_info(kind: int, material: bytes) -> None:
    with pytest.raises(Malformed):
        parse_vkey(vkey_of("a", kind, material))


@pytest.mark.parametrize("point", LOW_ORDER, ids=bytes.hex)
@pytest.mark.parametrize("kind", [ED25519, COSIGNATURE])
def test_a_point_of_low_order_is_no_key(kind: int, point: bytes) -> None:
    with pytest.raises(Malformed, match="low order"):
        parse_vkey(vkey_of("a", kind, point))


def test_why_it_is_none() -> None:
    """Nobody has signed this; the check below us is content, for any message."""
    identity = (1).to_bytes(32, "little")
    forged = identity + bytes(32)
    for message in (b"", b"log\n1\n"):
        ed25519.Ed25519PublicKey.from_public_bytes(identity).verify(forged, message)


@pytest.mark.parametrize("y", [P + 2, P + 18, 2**255 - 1])
def test_a_point_is_written_in_one_way(y: int) -> None:
    with pytest.raises(Malformed, match="not canonical"):
        parse_vkey(vkey_of("a", ED25519, y.to_bytes(32, "little")))


def test_a_signature_is_written_in_one_way() -> None:
    """S + L is the same number; R may not be another encoding. A change of the backend would show here."""
    private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
    public, signature = private.public_key(), private.sign(b"text\n")
    public.verify(signature, b"text\n")
    more = (int.from_bytes(signature[32:], "little") + L).to_bytes(32, "little")
    not_canonical = (P + 1).to_bytes(32, "little") + bytes(32)  # R: the identity, as p + 1
    for key, other in [
        (public, signature[:32] + more),
        (ed25519.Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little")), not_canonical),
    ]:
        with pytest.raises(InvalidSignature):
            key.verify(other, b"text\n")


@given(st.text(max_size=60) | st.from_regex(r"[a-z/]{1,9}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{43}=", fullmatch=True))
def test_any_text_is_a_key_or_malformed(text: str) -> None:
    for parse, attribute in ((parse_vkey, "vkey"), (parse_skey, "skey")):
        try:
            key = parse(text)
        except Malformed:
            continue
        assert getattr(key, attribute) == text


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_signs_and_verifies(kind: int) -> None:
    signer, other = generate_skey("a", kind), generate_skey("a", kind)
    text = b"log.example/a\n1\n" + base64.b64encode(bytes(32)) + b"\n"
    note = format_note(text, [sign_note(text, signer, 7)])
    assert open_note(note, [parse_vkey(signer.vkey), parse_vkey(other.vkey)]).verified[0].key_id == signer.key_id
