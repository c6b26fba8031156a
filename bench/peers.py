"""Farebox, which bills every call, beside nginx and LiteLLM, which bill none: the same streams from
the same upstream, in turns."""

from dataclasses import dataclass, field

from bench import litellm
from bench.books import Tally
from bench.load import Plan, Target
from bench.opened import KIBIBYTE, Peak
from bench.programs import Program
from bench.report import Figure, Line
from bench.stage import CALLERS, EVENTS, OPEN_EVENTS, Stage


@dataclass
class Found:
    """What was seen of one gateway, each list one value a repeat: milliseconds of CPU a stream, to
    the first byte beyond the upstream's own, streams a second, KiB a stream that is open."""

    cpu: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    whole: int = 0
    asked: int = 0


def peers(stage: Stage, tally: Tally) -> None:
    """Run all of them; LiteLLM gets fewer calls of each caller, for it takes as much longer."""
    house, effort = stage.house, stage.effort
    with house.web() as (web, own_port), house.litellm() as (program, port, version):
        stage.report.facts["litellm"] = version
        ours = Target("farebox", own_port, stage.farebox.keys)
        peer = Target("litellm", port, (litellm.KEY,))
        all_three = [(web, ours), *stage.anchors(), (program, peer)]
        found = {target.name: Found() for _, target in all_three}
        for running, target in all_three:
            stage.load(plan_of(stage, target, EVENTS, 0, 1, 20), tally)
            open_at_once(stage, running, target, found[target.name], tally)
        for _ in range(effort.repeats):
            stage.report.look_at_the_clock()
            rounds = effort.peer_rounds
            plan = plan_of(stage, stage.upstream, EVENTS, 0, CALLERS, rounds)
            own = stage.load(plan, tally)["upstream"]["first_ms"]
            for running, target in all_three:
                often = rounds if target is peer else rounds * 5
                measure(stage, running, target, often, own, found[target.name], tally)
    stage.report.details["peers"] = {name: vars(one) for name, one in found.items()}
    for name in ("nginx", "litellm"):
        if name in found:
            add_lines(stage, name, found["farebox"], found[name])


def plan_of(
    stage: Stage, target: Target, events: int, delay_ms: int, callers: int, rounds: int
) -> Plan:
    body = stage.body(events, delay_ms)
    return Plan((target,), body, events, callers, rounds, tolerant=target.name == "litellm")


def measure(
    stage: Stage,
    program: Program,
    target: Target,
    rounds: int,
    own_first: float,
    found: Found,
    tally: Tally,
) -> None:
    """Streams of events back to back, for fifty callers."""
    cost, seen = stage.cost(program, plan_of(stage, target, EVENTS, 0, CALLERS, rounds), tally)
    found.cpu.append(cost)
    found.added.append(seen["first_ms"] - own_first)
    found.rate.append(seen["calls"] / seen["seconds"])
    found.whole += seen["calls"]
    found.asked += CALLERS * rounds


def open_at_once(
    stage: Stage, program: Program, target: Target, found: Found, tally: Tally
) -> None:
    """Streams that are all open at once, for what each takes of memory. Measured before all else:
    a process keeps what it once had, and would have it ready the second time."""
    count, peak = stage.effort.peer_streams, Peak(program)
    plan = plan_of(stage, target, OPEN_EVENTS, 20, count, 1)
    seen = stage.load(plan, tally, peak.look)[target.name]
    found.memory.append(peak.grown().rss / count / KIBIBYTE)
    found.whole += seen["calls"]
    found.asked += count


def add_lines(stage: Stage, name: str, ours: Found, theirs: Found) -> None:
    """``name`` beside Farebox; what is wanted of the ratios is wanted of LiteLLM's alone."""
    add = stage.report.lines.append
    is_peer = name == "litellm"
    rows = (
        (f"CPU a stream of {EVENTS} events", "ms", ours.cpu, theirs.cpu),
        (f"added to the first byte, {CALLERS} callers", "ms", ours.added, theirs.added),
        (f"streams a second, {CALLERS} callers", "/s", ours.rate, theirs.rate),
        (f"memory of each of {stage.effort.peer_streams} open streams", "KiB", ours.memory,
         theirs.memory),
    )  # fmt: skip
    for what, unit, mine, other in rows:
        add(Line("peers", what, unit, Figure.of(mine), None, None, name, Figure.of(other)))
    add(Line("peers", "streams that ended whole", "%", share(ours), None, 100.0, name,
             share(theirs)))  # fmt: skip
    if is_peer:
        cpu = [mine / other for mine, other in zip(ours.cpu, theirs.cpu, strict=True)]
        first = [mine / other for mine, other in zip(ours.added, theirs.added, strict=True)]
        add(Line("peers", "CPU, times LiteLLM's", "x", Figure.of(cpu), 1 / 20))
        add(Line("peers", "added to the first byte, times LiteLLM's", "x", Figure.of(first), 1 / 5))


def share(found: Found) -> Figure:
    return Figure.of([100 * found.whole / found.asked])
