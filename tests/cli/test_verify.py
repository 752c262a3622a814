"""`verify` is offline, and no byte of what it is given goes unchecked.

A proof that does not hold is exit 3. A file that is no proof, or no key, is the user's mistake: exit 1.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mintmark.cli import exits
from mintmark.client.keys import parse_vkeys
from mintmark.config.key_files import make_keys
from mintmark.tlog import prove
from mintmark.tlog.checkpoint import parse_tree_head, sign_checkpoint
from mintmark.tlog.kernel import EMPTY_ROOT
from mintmark.tlog.note import parse_note
from mintmark.tlog.proof_file import ProofFile, format_proof, parse_proof
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
    assert (result.code, result.out) == (exits.OK, "entry 301 is in world.example/things at size 700\n")
    answer = json.loads(run(*files.arguments, "--json").out)
    assert (answer["index"], answer["size"], answer["origin"]) == (INDEX, SIZE, "world.example/things")


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
