"""Proofs by the mint under many clients, from a small log and from a large one.

Calls one after another by 32 clients keep the server as busy as can be: what a call takes then is 32 over what the
server does a second, so it is shown beside a call that does nothing. At a steady rate, it is what a client feels.
"""

from __future__ import annotations

import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from benches.load import closed, paced
from benches.report import Report, Sample
from benches.rig import DOMAIN, TOKEN
from mintmark.client.mint_client import MintClient

if TYPE_CHECKING:
    from benches.load import Call, Load
    from benches.report import Options

ABOUT = "inclusion and consistency proofs by the mint, 32 clients, from 10^4 to 10^7 entries"
CLIENTS, CALLS = 32, 3_200
RATE = 400  # calls a second
AIM, GROWTH = 10, 1.3  # ms, and times
KINDS = ("inclusion", "consistency")


async def run(options: Options) -> Report:
    large = options.large
    rig = await large.rig()
    report = Report(f"{CLIENTS} clients; steady: {RATE} calls/s in all")
    found: dict[str, list[Load]] = {}
    rounds = options.rounds or 3
    async with AsyncExitStack() as stack, rig.empty_call() as empty:
        peers = [await stack.enter_async_context(MintClient(rig.address, token=TOKEN)) for _ in range(CLIENTS)]
        meters = rig.meters()
        cases = {
            f"{kind}, {size:,}": calls(peers, kind, name, size) for name, size in large.sizes.items() for kind in KINDS
        }
        cases["empty call"] = [empty] * CLIENTS
        for number in range(rounds + 1):
            for what, clients in cases.items():
                loads = {"busy": await closed(clients, CALLS), "steady": await paced(clients, CALLS // 4, RATE)}
                for how, load in loads.items() if number else ():
                    found.setdefault(f"{what}, {how}", []).append(load)
        report.usage = [meter.read() for meter in meters]
    tell(report, found)
    small, largest = (f"{large.sizes[name]:,}" for name in ("small", "large"))
    for kind in KINDS:
        for how in ("steady", "busy"):
            report.limit(f"{kind}, {largest}, {how}, p99", AIM, most=True)
            report.compare(f"{kind}, {largest}, {how}, p50", f"{kind}, {small}, {how}, p50", GROWTH, most=True)
    return report


def tell(report: Report, found: dict[str, list[Load]]) -> None:
    """p50 and p99 of each, and the rate where the server was as busy as can be."""
    for what, loads in found.items():
        report.samples.append(Sample(f"{what}, p50", "ms", [load.p50 for load in loads]))
        report.samples.append(Sample(f"{what}, p99", "ms", [load.p99 for load in loads]))
        if what.endswith("busy"):
            report.samples.append(Sample(what, "calls/s", [load.rate for load in loads]))


def calls(peers: list[MintClient], kind: str, name: str, size: int) -> list[Call]:
    """A call for each client: a proof in the tree of `size`, of anything that comes before."""
    chance, origin = random.Random(size), f"{DOMAIN}/{name}"

    def one(peer: MintClient) -> Call:
        if kind == "inclusion":
            return lambda: peer.inclusion(origin, index=chance.randrange(size), size=size)
        return lambda: peer.consistency(origin, chance.randrange(1, size), size)

    return [one(peer) for peer in peers]
