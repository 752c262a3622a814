"""A read database full of registers for the browser: the samples, and one whose every value attacks the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mintmark.mirror.catch_up import CatchUp
from mintmark.register import canonical
from mintmark.register.entry import Entry, format_entry
from mintmark.register.item import item_hash
from mintmark.tlog.note import generate_skey
from tests.support.lighthouse import define_field, define_register, entry, system, user
from tests.support.rsf import read_rsf
from tests.support.world import World

if TYPE_CHECKING:
    from mintmark.store.mirror.read_store import ReadStore

SAMPLES = Path(__file__).parents[2] / "src/mintmark/samples"
DOMAIN = "registers.localhost"

SCRIPTS = [
    "<script>window.pwned = 1</script>",
    "\"><img src=x onerror='window.pwned = 1'>",
    "</textarea></title></style><svg onload=window.pwned=1>",
    "javascript:window.pwned=1",
    "[a link](javascript:window.pwned=1) ![an image](http://example.com/x.png) <iframe src=//example.com>",
    "{{ 7 * 7 }} {% raw %} ${7 * 7}",
    "&lt;b&gt; is what it says, and \u202ethis is backwards\u202c, 🌿, and a\ttab\nand a line",
    "x" * 3000,
]
KEYS = ["plain", "with/slash", "with.json", "a.b.proof", "A-z", "100", "q", "z" * 255]
SECRET = b'{"hostile":"erased","name":"Known no more"}'


def hostile() -> tuple[list[Entry], list[bytes]]:
    """The entries and items of the register `hostile`."""
    attack = SCRIPTS[0]
    definitions = [
        ("name", b'{"name":"hostile"}'),
        ("register-name", canonical.format({"register-name": f"Hostile {attack}"})),
        ("custodian", canonical.format({"custodian": SCRIPTS[1]})),
        define_field("hostile", text=attack),
        define_field("name", text=SCRIPTS[4]),
        define_field("text", "text"),
        define_field("many", cardinality="n"),
        define_field("site", "url"),
        define_field("country", register="country"),
        define_field("refers", "curie", cardinality="n"),
        define_register(
            "hostile",
            ["hostile", "name", "text", "many", "site", "country", "refers"],
            text=f"{SCRIPTS[4]} {attack}",
            registry=SCRIPTS[2],
            copyright=attack,
        ),
    ]
    rows = [system(key, item, "2024-03-01T08:00:00Z") for key, item in definitions]
    for key, text in zip(KEYS, SCRIPTS, strict=True):
        for version in (text, f"{text} again"):
            item = {
                "hostile": key,
                "name": version,
                "text": version,
                "many": [version, text],
                "site": "javascript:window.pwned=1",
                "country": "NOWHERE",
                "refers": ["country:GB", "unknown:1"],
            }
            rows.append(user(key, canonical.format(item), "2024-03-02T10:30:00Z"))
    rows.append((entry("erased", SECRET, "2024-03-03T10:00:00Z"), b""))
    erasure = b'{"authority":"The court","reason":"Personal data"}'
    rows.append(system(f"erase:{len(rows) - 1}", erasure, "2024-03-03T10:20:00Z"))
    rows.append(user("ended", b'{"hostile":"ended","name":"It was"}', "2024-03-03T10:30:00Z"))
    rows.append(user("ended", None, "2024-03-04T10:30:00Z"))
    return [made for made, _ in rows], [item or b"" for _, item in rows]


def empty() -> tuple[list[Entry], list[bytes]]:
    """The entries and items of the register `empty`, which has nothing but a field."""
    rows = [
        system(key, item)
        for key, item in (define_field("empty"), define_register("empty", ["empty"], text="Nothing yet"))
    ]
    return [made for made, _ in rows], [item for _, item in rows]


def worlds() -> dict[str, World]:
    """The logs, by name."""
    made = {"hostile": _world("hostile", *hostile()), "empty": _world("empty", *empty())}
    for file in sorted(SAMPLES.glob("*.rsf")):
        rows = read_rsf(file.read_bytes())
        made[file.stem] = _world(file.stem, [row.entry for row in rows], [row.item for row in rows])
    return made


def _world(name: str, entries: list[Entry], items: list[bytes]) -> World:
    origin = f"{DOMAIN}/{name}"
    world = World(origin, "register", generate_skey(origin))
    assert all(item == b"" or item_hash(item) == made.item_hash for made, item in zip(entries, items, strict=True))
    world.append([format_entry(made) for made in entries], items)
    return world


async def mirror(store: ReadStore, logs: dict[str, World]) -> None:
    """Brings every log into a read database, verified, as a mirror does."""
    for world in logs.values():
        assert await CatchUp(store, world.origin, world.verifiers).step(world, world.notes[-1], "register")
