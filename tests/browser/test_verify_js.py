"""static/verify.js reads, hashes and verifies exactly what the Python side does: each here is the other's oracle."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from mintmark.api import html
from mintmark.errors import Malformed
from mintmark.register import canonical
from mintmark.register.entry import Entry, format_entry
from mintmark.register.item import format_hash, item_hash
from mintmark.tlog import prove
from mintmark.tlog.cosignature import cosign
from mintmark.tlog.kernel import leaf_hash
from mintmark.tlog.keys import COSIGNATURE, ED25519, MLDSA44, generate_skey, parse_vkey
from mintmark.tlog.note import parse_note
from mintmark.tlog.proof_file import (
    ProofFile,
    ProofParts,
    format_parts,
    format_proof,
    parse_parts,
    parse_proof,
)
from mintmark.tlog.text import parse_tree_head
from tests.browser.conftest import served
from tests.support import vectors
from tests.support.world import World, flip
from tests.tlog.test_keys import LOW_ORDER, P, vkey_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from playwright.async_api import Browser
    from starlette.requests import Request

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BYTES = "Uint8Array.from(atob(given), c => c.charCodeAt(0))"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def run(browser: Browser) -> AsyncIterator[Callable[..., Any]]:
    """Evaluates an expression of `check` (verify.js) and `given`: its value, or the Fault's message after "Fault: "."""

    async def empty(request: object) -> HTMLResponse:
        return HTMLResponse("<!doctype html><title>test</title>")

    async def asset(request: Request) -> Response:
        found = html.ASSETS[request.path_params["name"]]
        return Response(found.body, media_type=found.type)

    app = Starlette(routes=[Route("/", empty), Route(html.STATIC_PATH + "/{name}", asset)])
    async with served(app) as url:
        page = await browser.new_page()
        await page.goto(url)

        async def evaluate(expression: str, given: object = None) -> Any:
            return await page.evaluate(
                f"""async (given) => {{
                    const check = await import("{html.STATIC_PATH}/verify.js");
                    const plain = (v) => v instanceof Uint8Array ? check.hex(v) : typeof v === "bigint" ? String(v)
                        : Array.isArray(v) ? v.map(plain) : v && typeof v === "object"
                        ? Object.fromEntries(Object.entries(v).map(([k, x]) => [k, plain(x)])) : v;
                    try {{ return plain(await ({expression})); }}
                    catch (e) {{ if (e instanceof check.Fault) return "Fault: " + e.message; throw e; }}
                }}""",
                given,
            )

        yield evaluate
        await page.close()


def published(name: str, part: str | None = None) -> list[Any]:
    """A list of a public vector file, or one of its parts; none where a checkout lacks them."""
    if not vectors.ROOT.is_dir():
        return []
    loaded = vectors.load(name)
    return loaded[part] if part else loaded


def world(size: int) -> World:
    made = World()
    made.append([b"entry %d" % i for i in range(size)])
    return made


def sent(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 100, 257])
async def test_every_path_leads_to_the_root_that_was_signed(run: Callable[..., Any], size: int) -> None:
    source = world(size)
    for index in {0, size // 3, size // 2, size - 1}:
        hashes = prove.prove(prove.inclusion_spans(index, size), source.tiles)
        given = [index, size, leaf_hash(source.entries_[index]).hex(), [h.hex() for h in hashes]]
        expression = """check.climb(BigInt(given[0]), BigInt(given[1]), unhex(given[2]), given[3].map(unhex))
            .then((path) => path.at(-1)?.node ?? unhex(given[2]))"""
        unhex = "Uint8Array.from(h.match(/../g), (x) => parseInt(x, 16))"
        root = await run(f"((unhex) => {expression})((h) => {unhex})", given)
        assert root == source.edge.root().hex()
        longer = [*given[:3], [*given[3], "00" * 32]]
        assert (await run(f"((unhex) => {expression})((h) => {unhex})", longer)).startswith("Fault: ")
        if hashes:
            shorter = [*given[:3], given[3][:-1]]
            assert (await run(f"((unhex) => {expression})((h) => {unhex})", shorter)).startswith("Fault: ")


async def test_an_index_beyond_the_tree_is_refused(run: Callable[..., Any]) -> None:
    assert (await run("check.climb(1n, 1n, new Uint8Array(32), [])")).startswith("Fault: ")


ITEMS = [
    {"thing": "1", "name": 'quote " backslash \\ slash /'},
    {"thing": "2", "lines": "a\tb\nc\rd\x08\x0c"},
    {"thing": "3", "control": "\x01\x1f\x7f", "said": "\\u001f is text"},
    {"thing": "4", "words": ["Türkiye", "日本", "🌱", "\u2028"], "_salt": "00ff"},
    {"z": "1", "a": [], "m-n": "", "__proto__": "x"},
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: next(iter(item)))
async def test_canonical_json_is_the_same(run: Callable[..., Any], item: dict[str, Any]) -> None:
    text = json.dumps(item)  # as no canonical form has it: spaces, \u escapes
    assert await run("check.canonical(JSON.parse(given))", text) == canonical.format(item).decode()


@pytest.mark.parametrize("text", ["1", "null", "true", '{"a":1}', '{"a":[null]}', '{"a":[["b",2]]}'])
async def test_what_is_no_item_has_no_canonical_form(run: Callable[..., Any], text: str) -> None:
    assert (await run("check.canonical(JSON.parse(given))", text)).startswith("Fault: ")


@pytest.mark.parametrize("ended", [False, True])
async def test_a_leaf_is_the_same_bytes(run: Callable[..., Any], ended: bool) -> None:
    digest = None if ended else item_hash(b'{"thing":"GB"}')
    leaf = format_entry(Entry("GB", "2016-04-05T13:23:05Z", "user", digest))
    given = {
        "key": "GB",
        "timestamp": "2016-04-05T13:23:05Z",
        "type": "user",
        "itemHash": None if ended else format_hash(digest or b""),
    }
    assert await run("check.formatLeaf(given)", given) == leaf.hex()
    assert await run("check.leafHash(check.formatLeaf(given))", given) == leaf_hash(leaf).hex()


async def test_a_proof_file_reads_the_same(run: Callable[..., Any]) -> None:
    source = world(300)
    hashes = tuple(prove.prove(prove.inclusion_spans(42, 300), source.tiles))
    for extra in (None, b"extra"):
        file = format_proof(ProofFile(42, hashes, source.notes[-1], extra))
        read = await run(f"check.parseProof({BYTES})", sent(file))
        held = {"index": "42", "hashes": [h.hex() for h in hashes], "note": source.notes[-1].decode()}
        assert read == held | {"extra": extra.hex() if extra is not None else None}


@pytest.mark.parametrize(
    "parts", [ProofParts(b"leaf"), ProofParts(b""), ProofParts(b"\xff\x00item 1\n", b"\x80\n"), ProofParts(b"x", b"")]
)
async def test_the_parts_of_a_proof_read_the_same(run: Callable[..., Any], parts: ProofParts) -> None:
    read = await run(f"check.parseParts({BYTES})", sent(format_parts(parts)))
    assert read == {name: part.hex() for name, part in parts._asdict().items() if part is not None}


async def test_an_extra_of_others_has_no_parts(run: Callable[..., Any]) -> None:
    assert parse_parts(b"of others") is None
    assert await run(f"check.parseParts({BYTES})", sent(b"of others")) == {}
    assert await run("check.parseParts(null)") == {}


OWN = b"mintmark/proof@v1\n"


@pytest.mark.parametrize(
    "extra",
    [
        b"mintmark/proof@v2\nentry 1\nx", OWN, OWN + b"item 2\n{}", OWN + b"entry 1\nxentry 1\nx",
        OWN + b"item 1\nyentry 1\nx", OWN + b"entry 1\nxitem 1\nyitem 1\ny", OWN + b"entry 1\nxchain 1\ny",
        OWN + b"entry 5\nleaf", OWN + b"entry 4\nleaf\n", OWN + b"entry 04\nleaf", OWN + b"entry +4\nleaf",
    ],
)  # fmt: skip
async def test_what_python_refuses_as_parts_is_refused(run: Callable[..., Any], extra: bytes) -> None:
    with pytest.raises(Malformed):
        parse_parts(extra)
    assert (await run(f"check.parseParts({BYTES})", sent(extra))).startswith("Fault: ")


def _spoilt_proofs() -> list[bytes]:
    source = world(9)
    good = format_proof(ProofFile(3, tuple(prove.prove(prove.inclusion_spans(3, 9), source.tiles)), source.notes[-1]))
    return [
        good.replace(b"@v1", b"@v2"),
        good.replace(b"index 3", b"index 03"),
        good.replace(b"index 3", b"index +3"),
        good.replace(b"index 3", b"index 9223372036854775808"),
        good.replace(b"index 3\n", b""),
        good.replace(b"\n", b"\r\n"),
        good.replace(b"=\n", b"\n", 1),
        good.partition(b"\n\n")[0],
        b"\xef\xbb\xbf" + good,
        good[:80] + b"\xff" + good[81:],
        good.replace(b"index 3\n", b"index 3\n" + b"A" * 43 + b"=\n" * 1 + (b"A" * 43 + b"=\n") * 63),
        b"",
    ]


@pytest.mark.parametrize("number", range(12))
async def test_what_python_refuses_as_a_proof_is_refused(run: Callable[..., Any], number: int) -> None:
    data = _spoilt_proofs()[number]
    with pytest.raises(Malformed):
        parse_proof(data)
    assert (await run(f"check.parseProof({BYTES})", sent(data))).startswith("Fault: ")


@pytest.mark.parametrize("case", published("tlog-proof/proofs.json", "malformed"), ids=lambda case: case["why"])
async def test_the_published_malformed_proofs_are_refused(run: Callable[..., Any], case: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        parse_proof(case["proof"].encode())
    assert (await run(f"check.parseProof({BYTES})", sent(case["proof"].encode()))).startswith("Fault: ")


async def test_a_note_and_its_signatures_read_and_verify_the_same(run: Callable[..., Any]) -> None:
    source, witness = world(5), generate_skey("witness.example/w", COSIGNATURE)
    note = cosign(source.notes[-1], witness, 1_700_000_000)
    text, lines = parse_note(note)
    read = await run("check.parseNote(given)", note.decode())
    assert read["text"] == text.decode()
    assert [(s["name"], s["id"], s["bytes"]) for s in read["signatures"]] == [
        (line.name, line.key_id.hex(), line.signature.hex()) for line in lines
    ]
    head = parse_tree_head(text)
    shown = await run("check.parseCheckpoint(given)", text.decode())
    assert shown == {"origin": head.origin, "size": "5", "root": head.root.hex()}
    holds = """(async () => { const key = await check.parseVkey(given[0]); const note = check.parseNote(given[1]);
        return check.verifies(key, note.text, note.signatures[given[2]].bytes); })()"""
    for at, vkey in enumerate([source.signer.vkey, witness.vkey]):
        assert await run(holds, [vkey, note.decode(), at]) is True
        assert await run(holds, [vkey, note.decode().replace("\n5\n", "\n6\n"), at]) is False
        other = generate_skey(parse_vkey(vkey).name, parse_vkey(vkey).kind).vkey
        assert await run(holds, [other, note.decode(), at]) is False
        assert await run(holds, [vkey, note.decode(), 1 - at]) is False
    assert await run("check.signedAt(check.parseNote(given).signatures[1].bytes)", note.decode()) == "1700000000"


async def test_no_bit_of_a_signature_can_be_changed(run: Callable[..., Any]) -> None:
    source = world(5)
    note = source.notes[-1].decode()
    flipped = """(async () => { const key = await check.parseVkey(given[0]); const note = check.parseNote(given[1]);
        const bytes = note.signatures[0].bytes; const held = [];
        for (let i = 0; i < bytes.length; i++) { const bad = bytes.slice(); bad[i] ^= 1;
            if (await check.verifies(key, note.text, bad)) held.push(i); }
        return held; })()"""
    assert await run(flipped, [source.signer.vkey, note]) == []


MALFORMED = [case for case in published("notes/notes.json") if case["expect"] == "malformed"]


@pytest.mark.parametrize("case", MALFORMED, ids=lambda case: case["id"])
async def test_the_published_malformed_notes_are_refused(run: Callable[..., Any], case: dict[str, str]) -> None:
    assert (await run("check.parseNote(given)", case["note"])).startswith("Fault: ")


@pytest.mark.parametrize("kind", [ED25519, COSIGNATURE, MLDSA44])
async def test_a_vkey_reads_the_same_and_no_bit_of_it_can_be_changed(run: Callable[..., Any], kind: int) -> None:
    vkey = parse_vkey(generate_skey("log.example/things", kind).vkey)
    read = await run("check.parseVkey(given)", vkey.vkey)
    assert (read["name"], read["id"], read["type"]) == (vkey.name, vkey.key_id.hex(), kind)
    for at in {0, 5, len("log.example/things"), len("log.example/things+") + 3, len(vkey.vkey) - 20}:
        changed = flip(vkey.vkey.encode(), at).decode()
        with pytest.raises(Malformed):
            parse_vkey(changed)
        assert (await run("check.parseVkey(given)", changed)).startswith("Fault: ")


def _bad_vkeys() -> list[str]:
    wrong = [key["vkey"] for key in published("notes/keys.json", "wrong_key_id_vkeys")]
    return [*published("notes/keys.json", "invalid_vkeys"), *wrong]


@pytest.mark.parametrize("vkey", _bad_vkeys(), ids=lambda vkey: vkey[:40])
async def test_the_published_bad_vkeys_are_refused(run: Callable[..., Any], vkey: str) -> None:
    assert (await run("check.parseVkey(given)", vkey)).startswith("Fault: ")


async def test_points_of_low_order_and_other_spellings_of_a_point_are_no_keys(run: Callable[..., Any]) -> None:
    for point in [*LOW_ORDER, *(y.to_bytes(32, "little") for y in (P + 2, P + 18))]:
        vkey = vkey_of("a.example", ED25519, point)
        with pytest.raises(Malformed):
            parse_vkey(vkey)
        assert (await run("check.parseVkey(given)", vkey)).startswith("Fault: This point")
