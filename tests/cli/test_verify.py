"""`verify` is offline, and no byte of what it is given goes unchecked.

A proof that does not hold is exit 3. A file that is no proof, or no key, is the user's mistake: exit 1.
"""

from __future__ import annotations

import base64
import json
import random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mintmark.cli import exits
from mintmark.client.keys import parse_vkeys
from mintmark.config.key_files import make_keys
from mintmark.register import canonical
from mintmark.register.entry import format_entry
from mintmark.register.item import format_hash, item_hash
from mintmark.tlog import prove
from mintmark.tlog.checkpoint import parse_tree_head, sign_checkpoint
from mintmark.tlog.cosignature import cosign
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.note import COSIGNATURE, generate_skey, parse_note
from mintmark.tlog.proof_file import ProofFile, ProofParts, format_proof, parse_proof
from tests.support.lighthouse import FAR, ROWS, user
from tests.support.proofs import proof_file
from tests.support.world import World

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.commands import Run

INDEX, SIZE = 301, 700


class Files(NamedTuple):
    """The files that `prove` and `keygen` write."""

    proof: Path
    entry: Path
    key: Path

    @property
    def arguments(self) -> tuple[object, ...]:
        return ("verify", self.proof, "--entry", self.entry, "--vkey", self.key)


def made(directory: Path, *, mldsa: bool = False) -> Files:
    signers = make_keys("world.example/things", mldsa)
    world = World()
    world.append([b"entry %d" % index for index in range(SIZE)])
    head = sign_checkpoint(world.origin, SIZE, world.edge.root(), signers)
    hashes = prove.prove(prove.inclusion_spans(INDEX, SIZE), world.tiles)
    files = Files(directory / "it.tlog-proof", directory / "entry", directory / "things.vkey")
    files.proof.write_bytes(format_proof(ProofFile(INDEX, hashes, head.note)))
    files.entry.write_bytes(b"entry %d" % INDEX)
    files.key.write_text("".join(f"{signer.vkey}\n" for signer in signers))
    return files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return made(tmp_path)


def expected(files: Files) -> int:
    """The exit code for changed files: 1 where one does not parse any more, else 3."""
    try:
        parse_vkeys(files.key.read_bytes().decode("ascii"))
        parse_tree_head(parse_note(parse_proof(files.proof.read_bytes()).checkpoint)[0])
    except ValueError:
        return exits.ERROR
    return exits.LIED


def test_it_holds(run: Run, files: Files) -> None:
    result = run(*files.arguments)
    key = parse_vkeys(files.key.read_text())[0]
    signed_by = f"world.example/things+{key.key_id.hex()}"
    assert (result.code, result.out.splitlines()) == (
        exits.OK,
        ["entry 301 is in world.example/things at size 700", "entry: entry 301", f"signed by: {signed_by}"],
    )
    answer = json.loads(run(*files.arguments, "--json").out)
    assert (answer["index"], answer["size"], answer["origin"]) == (INDEX, SIZE, "world.example/things")
    assert (answer["signed-by"], answer["witnesses"]) == ([signed_by], {})
    assert base64.b64decode(answer["base64"]) == b"entry 301"


@pytest.mark.parametrize("mldsa", [False, True])
@pytest.mark.parametrize("which", Files._fields)
def test_any_one_byte_changed(run: Run, tmp_path: Path, which: str, mldsa: bool) -> None:
    """Each byte, or 500 of them, each changed to a near one, to a far one and to a blank."""
    files = made(tmp_path, mldsa=mldsa)
    assert run(*files.arguments).code == exits.OK
    file: Path = getattr(files, which)
    whole = file.read_bytes()
    choose, codes = random.Random(7), set[int]()
    for at in sorted(choose.sample(range(len(whole)), min(500, len(whole)))):
        for byte in {whole[at] ^ 1, whole[at] ^ 0x80, choose.choice(b" \n\t\r")} - {whole[at]}:
            file.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
            result = run(*files.arguments)
            assert (result.code, result.out) == (expected(files), ""), (at, byte)
            codes.add(result.code)
    assert exits.LIED in codes or which == "key"


@pytest.mark.parametrize("which", Files._fields)
def test_a_byte_more_or_less(run: Run, files: Files, which: str) -> None:
    file: Path = getattr(files, which)
    whole = file.read_bytes()
    for changed in (whole[:-1], whole[1:], whole + b"\n", whole + b"x", b"\n" + whole, b""):
        if which == "key" and changed == whole[:-1]:
            continue  # a key without its line end is that key
        file.write_bytes(changed)
        result = run(*files.arguments)
        assert (result.code, result.out) == (expected(files), ""), changed


def test_keys_of_a_directory(run: Run, files: Files) -> None:
    arguments = ("verify", files.proof, "--entry", files.entry)
    assert run(*arguments, "--trust", files.key.parent).code == exits.OK
    files.key.rename(files.key.with_name("other.vkey"))
    result = run(*arguments, "--trust", files.key.parent)
    assert result.code == exits.ERROR
    assert "no key of 'world.example/things' is trusted here" in result.err
    (another,) = make_keys("another.example/things", False)
    files.key.write_text(f"{another.vkey}\n")
    assert run(*arguments, "--trust", files.key.parent).code == exits.LIED


def test_no_keys_at_all(run: Run, files: Files, tmp_path: Path) -> None:
    result = run("verify", files.proof, "--entry", files.entry, "--dir", tmp_path / "none")
    assert result.code == exits.ERROR
    assert "--vkey" in result.err


def test_the_key_itself_instead_of_its_file(run: Run, files: Files) -> None:
    vkey = files.key.read_text().strip()
    arguments = ("verify", files.proof, "--entry", files.entry, "--vkey")
    assert run(*arguments, vkey).code == exits.OK
    assert run(*arguments, vkey[:-4]).code == exits.ERROR
    (other,) = make_keys("world.example/things", False)
    assert run(*arguments, other.vkey).code == exits.LIED
    assert run(*arguments, vkey, "--vkey", other.vkey).code == exits.LIED


def test_every_key_that_is_given_must_have_signed_whatever_its_log(run: Run, files: Files) -> None:
    (other,) = make_keys("world.example/others", False)
    assert run(*files.arguments, "--vkey", other.vkey).code == exits.LIED
    assert (
        run("verify", files.proof, "--entry", files.entry, "--vkey", other.vkey, "--vkey", files.key).code == exits.LIED
    )


def test_an_origin_that_no_file_can_be_called_by(run: Run, files: Files, tmp_path: Path) -> None:
    origin = f"world.example/{'x' * 241}"
    signers = make_keys(origin, False)
    world = World(origin)
    world.append([b"one"])
    note = sign_checkpoint(origin, 1, world.edge.root(), signers).note
    files.proof.write_bytes(format_proof(ProofFile(0, [], note)))
    result = run("verify", files.proof, "--entry", files.entry, "--trust", tmp_path)
    assert (result.code, "is trusted here" in result.err) == (exits.ERROR, True)


def test_a_proof_of_nothing(run: Run, files: Files) -> None:
    signers = make_keys("world.example/things", False)
    note = sign_checkpoint("world.example/things", 0, EMPTY_ROOT, signers).note
    files.key.write_text(f"{signers[0].vkey}\n")
    files.proof.write_bytes(format_proof(ProofFile(0, [], note)))
    assert run(*files.arguments).code == exits.LIED


def test_what_is_no_proof(run: Run, files: Files) -> None:
    files.proof.write_text("# Countries\n")
    result = run(*files.arguments)
    assert (result.code, result.out) == (exits.ERROR, "")
    assert result.err.startswith(f"mintmark: {files.proof}: not a proof")
    files.proof.write_bytes(files.key.read_bytes())
    assert run(*files.arguments).code == exits.ERROR


def test_files_that_are_not_there(run: Run, files: Files) -> None:
    files.entry.unlink()
    assert run(*files.arguments).code == exits.USAGE


def lighthouses(directory: Path, index: int, parts: ProofParts | bytes | None = None) -> tuple[Path, Path]:
    """A proof file and a key file of a small register, whose last entry ends a record."""
    origin = "world.example/lighthouse"
    world, rows = World(origin, "register", make_keys(origin, False)[0]), [*ROWS, user("KIN", None)]
    world.append([format_entry(entry) for entry, _ in rows], [item or b"" for _, item in rows])
    proof, key = directory / "it.tlog-proof", directory / "lighthouse.vkey"
    proof.write_bytes(proof_file(world, index, parts))
    key.write_text(f"{world.signer.vkey}\n")
    return proof, key


LEAVES = [format_entry(entry) for entry, _ in ROWS]


def test_one_file_says_what_it_proves(run: Run, tmp_path: Path) -> None:
    proof, key = lighthouses(tmp_path, 9)
    result = run("verify", proof, "--vkey", key)
    signer = parse_vkeys(key.read_text())[0]
    assert (result.code, result.err) == (exits.OK, "")
    assert result.out.splitlines() == [
        "entry 9 is in world.example/lighthouse at size 12",
        "register: lighthouse",
        "key: FAR",
        "type: user",
        "time: 2024-03-01T09:00:00Z",
        f"item: {format_hash(item_hash(FAR))}",
        "  light-colours: a list of 2",
        "    - white",
        "    - red",
        "  lighthouse: FAR",
        "  name: Far Point, West",
        "  region: W",
        "  start-date: 1871",
        f"signed by: world.example/lighthouse+{signer.key_id.hex()}",
        "not proven: that this is the last entry of its record",
    ]
    answer = json.loads(run("verify", proof, "--vkey", key, "--json").out)
    assert (answer["entry"], answer["item"]) == (json.loads(LEAVES[9]), json.loads(FAR))


def test_what_a_proof_has_no_item_of(run: Run, tmp_path: Path) -> None:
    proof, key = lighthouses(tmp_path, 11, ProofParts(format_entry(user("KIN", None)[0])))
    result = run("verify", proof, "--vkey", key)
    assert (result.code, "item: none, this entry ends the record" in result.out.splitlines()) == (exits.OK, True)
    proof, key = lighthouses(tmp_path, 9, ProofParts(LEAVES[9]))
    result = run("verify", proof, "--vkey", key)
    assert f"item: {format_hash(item_hash(FAR))}, not in this proof: it was erased, or left out" in result.out
    assert json.loads(run("verify", proof, "--vkey", key, "--json").out)["item"] is None


def test_a_forged_record_beside_a_genuine_proof(run: Run, tmp_path: Path) -> None:
    """With a file of hashes alone and with one that holds both: neither is believed for what stands beside it."""
    entry, item, forged = tmp_path / "entry", tmp_path / "item", tmp_path / "forged"
    entry.write_bytes(LEAVES[9])
    item.write_bytes(FAR)
    forged.write_bytes(FAR.replace(b"West", b"East"))
    for parts in (None, ProofParts(LEAVES[9]), b"extra of others"):
        proof, key = lighthouses(tmp_path, 9, parts)
        arguments = ("verify", proof, "--vkey", key, "--entry", entry)
        assert run(*arguments, "--item", item).code == exits.OK
        result = run(*arguments, "--item", forged)
        assert (result.code, result.out) == (exits.LIED, "")
        assert "the item" in result.err
    proof, key = lighthouses(tmp_path, 9, b"extra of others")
    result = run("verify", proof, "--vkey", key)
    assert (result.code, f"{proof}: the proof file does not hold its entry" in result.err) == (exits.ERROR, True)


def test_any_one_byte_of_one_file_changed(run: Run, tmp_path: Path) -> None:
    proof, key = lighthouses(tmp_path, 9)
    whole, choose = proof.read_bytes(), random.Random(12)
    for at in sorted(choose.sample(range(len(whole)), min(400, len(whole)))):
        for byte in {whole[at] ^ 1, choose.choice(b" \n\tAB")} - {whole[at]}:
            proof.write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
            result = run("verify", proof, "--vkey", key)
            assert (result.code in (exits.ERROR, exits.LIED), result.out) == (True, ""), (at, byte)


def test_a_file_larger_than_a_proof_is_read_no_further(run: Run, tmp_path: Path) -> None:
    proof, key = lighthouses(tmp_path, 9)
    proof.write_bytes(proof.read_bytes() + b"A" * 2**20)
    result = run("verify", proof, "--vkey", key)
    assert (result.code, "not a proof: more than 1,048,576 bytes" in result.err) == (exits.ERROR, True)


def test_nothing_of_a_log_reaches_a_terminal_as_a_control_character(run: Run, tmp_path: Path) -> None:
    bad = "\x1b]0;owned\x07\x7f\x9b31m\u202eevil\r\\ \u2028\U0001f3df ü"
    shown = "\\x1b]0;owned\\x07\\x7f\\x9b31m\\u202eevil\\r\\\\ \\u2028\U0001f3df ü"
    item = canonical.format({"thing": "A", "name": bad, "names": ["a\nb", bad]})
    cases = {
        "opaque": (bad.encode() + b"\xff\xc3", None, f"entry: {shown}\\xff\\xc3"),
        "register": (format_entry(user("A", item)[0]), item, f"  name: {shown}"),
        "none": (format_entry(user("A", b"\x1b\xff")[0]), b"\x1b\xff", "none by the rules: \\x1b\\xff"),
    }
    for name, (entry, item_, words) in cases.items():
        world = World(f"world.example/{name}", "opaque", make_keys(f"world.example/{name}", False)[0])
        world.append([entry])
        proof = tmp_path / name
        proof.write_bytes(proof_file(world, 0, ProofParts(entry, item_)))
        result = run("verify", proof, "--vkey", world.signer.vkey)
        assert (result.code, words in result.out) == (exits.OK, True), (name, result.out)
        assert all(char.isprintable() or char == "\n" for char in result.out)
        answer = json.loads(run("verify", proof, "--vkey", world.signer.vkey, "--json").out)
        assert answer.get("base64", "") == ("" if name != "opaque" else base64.b64encode(entry).decode())
        assert answer.get("item-base64") == (base64.b64encode(item_ or b"").decode() if name == "none" else None)


def test_a_witness_that_signed_and_whose_key_is_given(run: Run, files: Files) -> None:
    witness = generate_skey("witness.example", COSIGNATURE)
    proof = parse_proof(files.proof.read_bytes())
    files.proof.write_bytes(format_proof(proof._replace(checkpoint=cosign(proof.checkpoint, witness, 1_790_000_000))))
    result = run(*files.arguments, "--vkey", witness.vkey)
    assert result.code == exits.OK, result.err
    assert f"signed by: witness.example+{parse_vkeys(witness.vkey)[0].key_id.hex()}" in result.out
    assert "witnessed by: witness.example, 2026-09-21T14:13:20Z" in result.out
    assert run(*files.arguments, "--vkey", generate_skey("witness.example", COSIGNATURE).vkey).code == exits.LIED
