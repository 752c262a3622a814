"""Policies: what they say, strictly read, and which checkpoints they believe."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintmark.errors import BadSignature, Malformed, NotAvailableYet
from mintmark.tlog.checkpoint import sign_checkpoint
from mintmark.tlog.cosignature import cosign
from mintmark.tlog.note import COSIGNATURE, MLDSA44, Signature, format_note, generate_skey, parse_note, parse_vkey
from mintmark.tlog.policy import Group, open_by_policy, parse_policy, satisfied
from tests.support import vectors

ORIGIN, ROOT, TIME = "log.example/a", bytes(range(32)), 1_700_000_000
LOG, OTHER = generate_skey(ORIGIN), generate_skey("log.example/b")
WITNESSES = [
    generate_skey(f"w{i}.example", kind) for i, kind in enumerate([COSIGNATURE, MLDSA44, COSIGNATURE, COSIGNATURE])
]
NOTE = sign_checkpoint(ORIGIN, 3, ROOT, [LOG]).note
KEYS = f"log {LOG.vkey}\n" + "".join(f"witness w{i} {witness.vkey}\n" for i, witness in enumerate(WITNESSES))
NESTED = KEYS + "group x 2 w0 w1 w2\ngroup y any w3\ngroup z all x y\nquorum z\n"


def cosigned(*which: int) -> bytes:
    note = NOTE
    for i in which:
        note = cosign(note, WITNESSES[i], TIME + i)
    return note


@pytest.mark.parametrize(
    ("quorum", "enough", "too_few"),
    [
        ("quorum none\n", [(), (0,)], []),
        ("quorum w0\n", [(0,), (0, 1)], [(), (1, 2, 3)]),
        ("group g all w0 w1\nquorum g\n", [(0, 1), (0, 1, 2)], [(), (0,), (1, 2, 3)]),
        ("group g any w0 w1\nquorum g\n", [(0,), (1,), (0, 1)], [(), (2, 3)]),
        ("group g 2 w0 w1 w2\nquorum g\n", [(0, 1), (1, 2), (0, 1, 2)], [(0,), (0, 3)]),
        (NESTED[len(KEYS) :], [(0, 1, 3), (0, 1, 2, 3)], [(0, 3), (0, 1, 2), (3,)]),
    ],
)
def test_a_quorum(quorum: str, enough: list[tuple[int, ...]], too_few: list[tuple[int, ...]]) -> None:
    policy = parse_policy((KEYS + quorum).encode())
    for which in enough:
        note = cosigned(*which)
        head, times = open_by_policy(note, policy)
        assert (head.origin, head.size, head.root, head.note) == (ORIGIN, 3, ROOT, note)
        assert times == {f"w{i}": TIME + i for i in which}
    for which in too_few:
        with pytest.raises(NotAvailableYet, match="quorum"):
            open_by_policy(cosigned(*which), policy)


def test_the_log_has_to_sign_under_its_own_name() -> None:
    policy = parse_policy(f"log {LOG.vkey}\nlog {OTHER.vkey}\nquorum none\n".encode())
    open_by_policy(sign_checkpoint(OTHER.name, 3, ROOT, [OTHER]).note, policy)
    for note in (
        sign_checkpoint(ORIGIN, 3, ROOT, [OTHER]).note,
        sign_checkpoint("log.example/c", 3, ROOT, [LOG]).note,
        sign_checkpoint(ORIGIN, 3, ROOT, [generate_skey(ORIGIN)]).note,
    ):
        with pytest.raises(BadSignature):
            open_by_policy(note, policy)
    with pytest.raises(BadSignature):
        open_by_policy(NOTE, parse_policy(b"quorum none\n"))


def test_a_witness_s_bad_signature_spoils_the_note_even_where_it_is_not_needed() -> None:
    text, lines = parse_note(cosigned(0, 1))
    bad = Signature(lines[2].name, lines[2].key_id, lines[2].signature[:-1] + b"\0\0")
    with pytest.raises(BadSignature, match="does not verify"):
        open_by_policy(format_note(text, [*lines[:2], bad]), parse_policy((KEYS + "quorum w0\n").encode()))


def test_a_signature_without_a_time_is_no_cosignature() -> None:
    log = generate_skey(ORIGIN, MLDSA44)
    policy = parse_policy(f"log {log.vkey}\nwitness w {log.vkey}\nquorum w\n".encode())
    note = sign_checkpoint(ORIGIN, 3, ROOT, [log]).note
    with pytest.raises(NotAvailableYet, match="quorum"):
        open_by_policy(note, policy)


def test_the_lines_and_their_spaces() -> None:
    text = (
        f"\n# comment\n \t # another\n\tlog\t{LOG.vkey} \thttps://log.example/ \n  witness  ŵ {WITNESSES[0].vkey} x\n"
    )
    policy = parse_policy((text + "group \xe9 1  ŵ\t\nquorum \xe9").encode() + b"\n")
    assert [log.name for log in policy.logs] == [ORIGIN]
    assert policy.quorum is not None
    assert list(policy.groups.values()) == [Group(1, tuple(policy.witnesses))]
    latin = f"witness \xe9 {WITNESSES[0].vkey}\nquorum \xe9\n".encode("latin-1")
    assert satisfied(parse_policy(latin), parse_policy(latin).witnesses)  # names are octets


COUNTS = ("0", "3", "-1", "+1", "01", "1.0", "some", "٢", "\udc80", "1_0")
W0, W1 = (f"witness w{i} {WITNESSES[i].vkey}\n" for i in range(2))


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", W0, "quorum w0\n", W0 + "quorum w0", W0 + "quorum w0\r\n", W0 + "quorum w0 # why\n", W0 + "quorum\n",
        W0 + "quorum w0\nquorum w0\n", "quorum none\nquorum none\n", "quorum all\n", W0 + "quorum w0 w0\n",
        W0 + W0.replace("w0 ", "w1 ") + "quorum none\n", W0 + W1.replace("w1 ", "w0 ") + "quorum none\n", "witness\n",
        *[f"witness {word} {WITNESSES[0].vkey}\nquorum none\n" for word in ("none", "all", "any")],
        *[W0 + f"group {word} any w0\nquorum none\n" for word in ("none", "all", "any", "w0")],
        *[W0 + W1 + f"group g {k} w0 w1\nquorum g\n" for k in COUNTS],
        W0 + "group g any\nquorum g\n", W0 + "group g any w0 w0\nquorum g\n", W0 + "group g any w1\nquorum g\n",
        W0 + "group g any g\nquorum g\n", W0 + "group g any none\nquorum g\n", "group g any w0\n" + W0 + "quorum g\n",
        W0 + "group g any w0\ngroup h any w0\nquorum h\n", "quorum w0\n" + W0, "quorum none\n\0",
        f"log {LOG.vkey}\nlog {LOG.vkey}\nquorum none\n",
        f"log {LOG.vkey} u v\nquorum none\n", "log\nquorum none\n", f"log {LOG.vkey[:-1]}\nquorum none\n",
        f"log {WITNESSES[0].vkey}\nquorum none\n", f"witness w {LOG.vkey}\nquorum w\n", "Quorum none\n",
        "other\nquorum none\n", "quorum\x0bnone\n", "quorum\u00a0none\n", "quorum none\x7f\n",
    ],
    ids=lambda _: "text",  # the keys in it are new in each process, and the processes of a run must agree on names
)  # fmt: skip
def test_what_is_no_policy(text: str) -> None:
    with pytest.raises(Malformed, match="policy"):
        parse_policy(text.encode(errors="surrogateescape"))


def test_a_key_under_another_name_is_the_same_key() -> None:
    key = WITNESSES[0].vkey.split("+", 2)[2]
    renamed = renamed_key("other.example", base64.b64decode(key))
    with pytest.raises(Malformed, match="line 2 of the policy: the key of other"):
        parse_policy(f"{W0}witness w1 {renamed}\nquorum w0\n".encode())


def renamed_key(name: str, key: bytes) -> str:
    key_id = hashlib.sha256(name.encode() + b"\n" + key).digest()[:4]
    return f"{name}+{key_id.hex()}+{base64.b64encode(key).decode()}"


def test_a_large_policy() -> None:
    """32 logs, 32 witnesses and 32 groups are the least that has to be read."""
    logs = "".join(f"log {generate_skey(f'log.example/{i}').vkey}\n" for i in range(40))
    witnesses = "".join(f"witness w{i} {generate_skey(f'w{i}', COSIGNATURE).vkey}\n" for i in range(40))
    groups = "".join(f"group g{i} any w{i}{f' g{i - 1}' if i else ''}\n" for i in range(40))
    policy = parse_policy(f"{logs}{witnesses}{groups}quorum g39\n".encode())
    assert "g39" in satisfied(policy, ["w0"])
    assert "g39" not in satisfied(policy, [])


def as_cosigners(policy: str) -> str:
    """The samples name the witnesses' keys as logs' (0x01) and mean cosigners' (0x04), as one library reads them."""
    for word in {word for word in policy.split() if "+A" in word[-45:-43]}:
        name, _, key = word.split("+", 2)
        policy = policy.replace(word, renamed_key(name, b"\x04" + base64.b64decode(key)[1:]))
    return policy


@vectors.needed
def test_public_policies() -> None:
    known = vectors.load("policy/policies.json")
    tidy, untidy = (as_cosigners(case["policy"]) for case in known["valid_in_formats"])
    assert parse_policy(tidy.encode()).groups == {"g1": Group(2, ("w1", "w2"))}
    with pytest.raises(Malformed, match="line 4"):  # a comment behind a line
        parse_policy(untidy.encode())
    assert parse_policy(untidy.replace("    #comment", "", 1).encode()).groups == {"g1": Group(2, ("w1", "w2"))}
    with pytest.raises(Malformed, match=r"line 2.* it makes no cosignatures"):
        parse_policy(known["valid_in_formats"][0]["policy"].encode())


@vectors.needed
def test_public_thresholds() -> None:
    for case in vectors.load("policy/policies.json")["group_threshold_in_formats"]:
        policy = as_cosigners(case["policy"])
        with pytest.raises(Malformed, match=r"line 4.* listed before"):  # w3 has the key of w2
            parse_policy(policy.encode())
        w3 = policy.split("\n")[3].split(" ")[2]
        policy = f"{generate_skey('w3', COSIGNATURE).vkey}".join(policy.rsplit(w3, 1))
        assert parse_policy(policy.encode()).groups["g1"].least == case["want_n"]


@vectors.needed
def test_public_policies_that_are_none() -> None:
    for case in vectors.load("policy/policies.json")["invalid"]:
        for policy in (case["policy"], as_cosigners(case["policy"]) + "\n"):
            with pytest.raises(Malformed):
                parse_policy(policy.encode())


words = st.sampled_from(
    ["log", "witness", "group", "quorum", "none", "any", "all", "1", "w", "g", "#", "\n", "\n", "\n", LOG.vkey]
)


@given(st.binary(max_size=60) | st.lists(words).map(" ".join).map(str.encode))
def test_any_bytes_are_a_policy_or_malformed(data: bytes) -> None:
    try:
        policy = parse_policy(data + b"\n")
    except Malformed:
        return
    assert policy.quorum is None or policy.quorum in {*policy.witnesses, *policy.groups}
    assert all(parse_vkey(key.vkey) == key for key in [*policy.logs, *policy.witnesses.values()])
