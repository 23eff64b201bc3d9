"""Calls that come one after the other instead of all at once: whether the quota suffices, and who waits how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from headway.assemble import build
from headway.core.call import Call, Class, Unit
from headway.core.limit import Limit
from headway.core.steps import Ticket
from headway.drivers.virtual import VirtualDriver
from headway.jobs.lines import PATH
from headway.jobs.order import Cell, Order
from headway.planner.course import in_flight_of, mean_output
from headway.planner.scene import Scene, rules_of
from headway.planner.trial import truth_of
from headway.planner.world import ProviderWorld, Truth

SIMULATED = 3_000  # calls at most; a steady state does not change after them
FULL = 1.0  # share of a limit that is asked for, from which on calls pile up without end


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Calls that come at `rate` a second, at random moments. Seconds.

    `used` is what share of each limit they take; more than 1: it does not suffice, calls pile up from `full_at_s` on. The
    quota bears `most_rate`. Waits are until a call is sent; `ends_s` is when the last one is over.
    """

    rate: float
    comes_for_s: float
    used: Mapping[str, float]
    most_rate: float
    full_at_s: float | None
    wait_p50_s: float
    wait_p90_s: float
    wait_most_s: float
    in_flight: tuple[int, int]
    ends_s: float


def arrivals_of(scene: Scene, rate: float, seed: int = 0) -> Arrivals:
    """Let the job's lines come at `rate` a second, in the order of the job, and see what becomes of them."""
    lines = scene.shape.lines
    binding, used = _used(scene, rate)
    comes_for_s = lines / rate
    waits, world, ends_s = _simulated(scene, rate, min(lines, SIMULATED), seed)
    full_at_s, most_rate = None, float("inf")
    if binding is not None:
        limit, share = binding
        most_rate = rate / share if share else float("inf")
        if share > FULL:
            held = limit.burst if limit.burst is not None else limit.rate * scene.burst_s
            full_at_s = held / (limit.rate * (share - FULL))
            late_s = max(
                comes_for_s * share - held / limit.rate - comes_for_s, 0.0
            )  # of the last, by the limit alone
            if lines > SIMULATED:
                waits = [late_s * (place + 0.5) / 100 for place in range(100)]
    waits.sort()
    last_s = world.books.servings[-1].at if world.books.servings else 0.0
    late_s = waits[-1] if full_at_s is not None else 0.0
    done_s = ends_s if lines <= SIMULATED else comes_for_s + late_s + max(ends_s - last_s, 0.0)
    return Arrivals(
        rate=rate,
        comes_for_s=comes_for_s,
        used=used,
        most_rate=most_rate,
        full_at_s=full_at_s if full_at_s is None or full_at_s < comes_for_s else None,
        wait_p50_s=waits[len(waits) // 2],
        wait_p90_s=waits[len(waits) * 9 // 10],
        wait_most_s=waits[-1],
        in_flight=in_flight_of(world.books.servings),
        ends_s=max(done_s, comes_for_s),
    )


def _used(scene: Scene, rate: float) -> tuple[tuple[Limit, float] | None, dict[str, float]]:
    """The limit that is asked for most, and the share of each; of pools that have limits."""
    needs: dict[tuple[str, Unit], float] = {}
    for part in scene.shape.parts:
        tokens_in = part.input_tokens - part.cacheable_tokens * (part.lines > 1)
        for unit, amount in (
            (Unit.REQUESTS, 1.0),
            (Unit.INPUT_TOKENS, tokens_in * scene.guess.ratio),
            (Unit.OUTPUT_TOKENS, mean_output(part.most, scene.guess)),
        ):
            key = (part.cell.kind.pool, unit)
            needs[key] = needs.get(key, 0.0) + part.lines * amount
    found: list[tuple[Limit, float]] = []
    shares: dict[str, float] = {}
    for pool in scene.pools:
        for limit in scene.limits(pool):
            share = needs.get((pool, limit.unit), 0.0) / scene.shape.lines * rate / limit.rate
            found.append((limit, share))
            shares[limit.unit.value] = max(shares.get(limit.unit.value, 0.0), share)
    return max(found, key=lambda each: each[1], default=None), shares


class _Watched(ProviderWorld):
    """Notes how long each call stood in line before its first attempt."""

    waits: list[float]

    def delay(self, ticket: Ticket) -> float:
        """Seconds until the request arrives."""
        if ticket.number == 1:
            self.waits.append(ticket.queued_s)
        return super().delay(ticket)


def _simulated(scene: Scene, rate: float, calls: int, seed: int) -> tuple[list[float], ProviderWorld, float]:
    engine = build(scene.config, lambda: scene.at_ns).engine
    engine.lessons = scene.lessons
    truths: dict[str, Truth] = {}
    world = _Watched(rules_of(scene), truths, lambda _at: None, seed)
    world.waits = []
    driver = VirtualDriver(engine, world, seed=seed, ended=lambda _outcome: None)
    order = Order([Cell(part.cell.kind, part.cell.lines) for part in scene.shape.parts])
    random, at, draws = Random(seed), 0.0, dict[int, float]()
    for _ in range(calls):
        picked = order.next(lambda _pool: True, lambda _kind: True)
        if picked is None:
            break
        at += random.expovariate(rate)
        identity, estimate = scene.sizes.of(picked[0])
        call = Call(
            id=str(picked[0]),
            path=PATH,
            body=b"",
            identity=identity,
            estimate=estimate,
            class_=Class.BULK,
            job=scene.job,
            stream=scene.config.stream,
        )
        truths[call.id] = truth_of(call, scene.guess, random, draws)
        driver.start(call, at)
    driver.play()
    ends_s = max((serving.ends_at for serving in world.books.servings), default=0.0)
    return world.waits or [0.0], world, ends_s
