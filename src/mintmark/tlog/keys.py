"""Keys of signed notes, as texts, and what each signature type signs (C2SP signed-note, tlog-cosignature).

    0x01  Ed25519 over the note's text                     a log's key
    0x02  ECDSA over the note's text, DER                  verified only
    0x04  Ed25519 cosignature, with a time                 a mirror's or witness's key
    0x05  RFC 6962 tree head                               verified only
    0x06  ML-DSA-44 over a (sub)tree, with a time          a log's, a mirror's or a witness's key

The key ID of a text is recomputed and compared when it is read. Low-order Ed25519 points, which verify forged
signatures, are refused.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa

from mintmark.errors import Malformed
from mintmark.tlog import text as texts
from mintmark.tlog.treehead import MAX_NAME, parse_text

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[bytes, bytes], None]  # signature, message; raises InvalidSignature

ED25519, ECDSA, COSIGNATURE, RFC6962, MLDSA44 = 0x01, 0x02, 0x04, 0x05, 0x06

SEED = 32  # bytes, of Ed25519 and of ML-DSA-44 alike
_SECRET = "PRIVATE+KEY+"  # noqa: S105  # what such a text begins with
_P = 2**255 - 19
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_LOW_ORDER = {0, 1, _P - 1, _ORDER_8, _P - _ORDER_8}  # y of the points of order 1, 2, 4 and 8


class Signer(Protocol):
    """Who can sign: a key in a file (`SecretKey`), or one that never leaves a KMS or an HSM."""

    @property
    def name(self) -> str:
        """Whose key it is: a log's origin, or a cosigner's name."""

    @property
    def kind(self) -> int:
        """ED25519, COSIGNATURE or MLDSA44."""

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that stand before each of its signatures."""

    @property
    def vkey(self) -> str:
        """The text of its public key."""

    def sign(self, message: bytes) -> bytes:
        """The bare signature of a message: Ed25519, or ML-DSA-44 with the empty context."""


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key. Made by `parse_vkey`."""

    name: str
    kind: int
    key_id: bytes
    vkey: str
    _check: Check = field(repr=False, compare=False)

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Whether `signature` (a signature line's, behind the key ID) is of this key and this note text."""
        try:
            bare, message = _MESSAGES[self.kind](self.name, text, signature)
            self._check(bare, message)
        except (InvalidSignature, Malformed):
            return False
        return True


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A signer whose key is a text, `skey`. Made by `generate_skey` and `parse_skey`."""

    name: str
    kind: int
    key_id: bytes
    vkey: str
    skey: str = field(repr=False)
    _sign: Callable[[bytes], bytes] = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """As of every Signer."""
        return self._sign(message)


def sign_text(signer: Signer, text: bytes, time: int = 0) -> bytes:
    """What stands behind the key ID in the signer's line: its signature of a note's text, at `time` (Unix seconds).

    An Ed25519 key of type 0x01 leaves the time out. A log's ML-DSA signature has time 0.

    Raises:
        Malformed: an ML-DSA key signs checkpoints only, and this text is none.
    """
    if signer.kind == ED25519:
        return signer.sign(text)
    stamp = time.to_bytes(8, "big")
    message = _cosigned(time, text) if signer.kind == COSIGNATURE else _tree(signer.name, stamp, text)
    return stamp + signer.sign(message)


def parse_vkey(text: str) -> Verifier:
    """The public key of `<name>+<key ID>+<base64 of type and key>`.

    Raises:
        Malformed: anything else; a type we do not know; a key ID that is not this key's; a key that is none.
    """
    name, key_id, kind, material = _parse_key(text)
    if kind not in _LOADERS:
        raise Malformed(f"a public key of unknown type 0x{kind:02x}")
    check = _LOADERS[kind](material)
    if _key_id(name, kind, material) != key_id:
        raise Malformed(f"the key ID {key_id.hex()} of {name} is not this key's: the text was changed")
    return Verifier(name, kind, key_id, text, check)


def public_key(vkey: str) -> bytes:
    """The key in a vkey, whatever it is named and used for."""
    return texts.parse_base64(vkey.split("+", 2)[2].encode())[1:]  # base64 has plus signs of its own


def generate_skey(name: str, kind: int = ED25519) -> SecretKey:
    """A new key: ED25519, COSIGNATURE or MLDSA44. Raises Malformed for a name that no key can have."""
    return _secret_key(name, kind, secrets.token_bytes(SEED))


def parse_skey(text: str) -> SecretKey:
    """The secret key of `PRIVATE+KEY+<name>+<key ID>+<base64 of type and seed>`.

    Raises:
        Malformed: anything else. The message does not show the text.
    """
    name, key_id, kind, seed = _parse_key(text.removeprefix(_SECRET)) if text.startswith(_SECRET) else ("", b"", 0, b"")
    if kind not in _PRIVATE or len(seed) != SEED:
        raise Malformed("not a signer key (PRIVATE+KEY+<name>+<key ID>+<key>)")
    key = _secret_key(name, kind, seed)
    if key.key_id != key_id:
        raise Malformed(f"the key ID {key_id.hex()} of the secret key of {name} is not its own: the text was changed")
    return key


def check_name(name: str) -> None:
    """Raises Malformed for a name that no key can have."""
    if "+" in name or any(char.isspace() or char < " " for char in name):
        raise Malformed(f"{name!r} names no key: it is an origin without spaces and plus signs")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise Malformed(f"{name!r} names no key: it is not Unicode") from None
    if not 1 <= size <= MAX_NAME:
        raise Malformed(f"the name of a key is 1 to {MAX_NAME} bytes, not {size}")


def _secret_key(name: str, kind: int, seed: bytes) -> SecretKey:
    check_name(name)
    private = _PRIVATE[kind](seed)
    public = private.public_key().public_bytes_raw()
    key_id = _key_id(name, kind, public)
    vkey, skey = _format_key(name, key_id, kind, public), _SECRET + _format_key(name, key_id, kind, seed)
    return SecretKey(name, kind, key_id, vkey, skey, private.sign)


def _format_key(name: str, key_id: bytes, kind: int, material: bytes) -> str:
    return f"{name}+{key_id.hex()}+{texts.format_base64(bytes([kind]) + material).decode()}"


def _parse_key(text: str) -> tuple[str, bytes, int, bytes]:
    """Name, key ID, type and key; printed again to see that it was written as it should be."""
    try:
        name, hex_id, encoded = text.split("+", 2)
        key_id, key = bytes.fromhex(hex_id), texts.parse_base64(encoded.encode("ascii"))
    except ValueError:
        raise Malformed("not a key (<name>+<key ID>+<key>)") from None
    check_name(name)
    if len(key_id) != 4 or not key or _format_key(name, key_id, key[0], key[1:]) != text:
        raise Malformed("not a key (<name>+<key ID>+<key>)")
    return name, key_id, key[0], key[1:]


def _key_id(name: str, kind: int, material: bytes) -> bytes:
    digest = hashlib.sha256(material).digest()
    if kind == ECDSA:  # whatever its name
        return digest[:4]
    named = digest if kind == RFC6962 else material
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + named).digest()[:4]


# What each type signs: (key's name, note's text, signature line's bytes) -> the bare signature, and its message.


def _text_message(_: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    return signature, text


def _cosignature_message(_: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    return signature[8:], _cosigned(signature_time(signature), text)


def _tree_message(name: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    signature_time(signature)
    return signature[8:], _tree(name, signature[:8], text)


def _rfc6962_message(_: str, text: bytes, signature: bytes) -> tuple[bytes, bytes]:
    """RFC 6962 section 3.5, behind a time in milliseconds; the origin is not part of it."""
    head, stamp, algorithm = parse_text(text), signature[:8], signature[8:10]
    bare = signature[12:]
    if algorithm not in (b"\x04\x03", b"\x04\x01") or signature[10:12] != len(bare).to_bytes(2, "big"):
        raise Malformed("not a digitally-signed TreeHeadSignature")
    return bare, b"\x00\x01" + stamp + head.size.to_bytes(8, "big") + head.root


def signature_time(signature: bytes) -> int:
    """The time within a signature of type 0x04 or 0x06, in Unix seconds."""
    if (time := int.from_bytes(signature[:8], "big")) > texts.MAX_NUMBER:
        raise Malformed("a time beyond 2^63 - 1")
    return time


def _cosigned(time: int, text: bytes) -> bytes:
    return b"cosignature/v1\ntime %d\n" % time + text


def _tree(name: str, stamp: bytes, text: bytes) -> bytes:
    head = parse_text(text)
    label = b"subtree/v1\n\0" + _counted(name) + stamp + _counted(head.origin)
    return label + bytes(8) + head.size.to_bytes(8, "big") + head.root


def _counted(name: str) -> bytes:
    return bytes([len(encoded := name.encode())]) + encoded


_MESSAGES = {
    ED25519: _text_message,
    ECDSA: _text_message,
    COSIGNATURE: _cosignature_message,
    RFC6962: _rfc6962_message,
    MLDSA44: _tree_message,
}


def _load_ed25519(material: bytes) -> Check:
    if len(material) != 32:
        raise Malformed(f"an Ed25519 key of {len(material)} bytes, not 32")
    y = int.from_bytes(material, "little") % 2**255
    if y >= _P or y in _LOW_ORDER:
        raise Malformed("an Ed25519 key that verifies forged signatures (a point of low order, or not canonical)")
    return ed25519.Ed25519PublicKey.from_public_bytes(material).verify


def _load_mldsa(material: bytes) -> Check:
    try:
        return mldsa.MLDSA44PublicKey.from_public_bytes(material).verify
    except ValueError as error:
        raise Malformed(f"an ML-DSA-44 key of {len(material)} bytes, not 1312") from error


def _load_ecdsa(material: bytes) -> Check:
    key = _load_spki(material)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Malformed("not an ECDSA key")
    return lambda signature, message: key.verify(signature, message, ec.ECDSA(hashes.SHA256()))


def _load_rfc6962(material: bytes) -> Check:
    key = _load_spki(material)
    if isinstance(key, rsa.RSAPublicKey):
        return lambda signature, message: key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    return _load_ecdsa(material)


def _load_spki(material: bytes) -> object:
    try:
        key = serialization.load_der_public_key(material)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Malformed("not a public key in DER (SubjectPublicKeyInfo)") from error
    canonical = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if canonical != material:
        raise Malformed("a public key that is not in canonical DER")
    return key


_LOADERS = {
    ED25519: _load_ed25519,
    ECDSA: _load_ecdsa,
    COSIGNATURE: _load_ed25519,
    RFC6962: _load_rfc6962,
    MLDSA44: _load_mldsa,
}

_PRIVATE: dict[int, Callable[[bytes], ed25519.Ed25519PrivateKey | mldsa.MLDSA44PrivateKey]] = {
    ED25519: ed25519.Ed25519PrivateKey.from_private_bytes,
    COSIGNATURE: ed25519.Ed25519PrivateKey.from_private_bytes,
    MLDSA44: mldsa.MLDSA44PrivateKey.from_seed_bytes,
}
