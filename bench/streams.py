"""The parts over HTTP: what a metered stream costs, and how late it begins; others have files.

Every figure stands beside nginx's, or beside the upstream's own, from the same minutes.
"""

from bench.books import Tally, balanced
from bench.fallback import fallback
from bench.house import UPSTREAM_KEY, House
from bench.load import Plan, Target
from bench.opened import open_streams
from bench.peers import peers
from bench.report import Figure, Line, Report, flush_ms
from bench.stage import CALLERS, EVENTS, OPEN_EVENTS, PACED, Effort, Stage
from bench.two import two_processes


def measure(house: House, report: Report, effort: Effort, parts: set[str]) -> None:
    """Run the chosen parts, each beside nginx, on one web process or more."""
    chosen = {
        "cpu": cpu,
        "first-byte": first_byte,
        "open": open_streams,
        "two": two_processes,
        "fallback": fallback,
        "peers": peers,
    }
    with house.web() as (web, port), house.nginx() as anchor:
        stage = Stage(
            house,
            report,
            effort,
            web,
            Target("farebox", port, tuple(account.key for account in house.accounts)),
            (anchor[0], Target("nginx", anchor[1], (UPSTREAM_KEY,))) if anchor else None,
            Target("upstream", house.upstream_port, (UPSTREAM_KEY,)),
        )
        warm_up(stage)
        for name, part in chosen.items():
            if name in parts:
                house.say(f"measuring {name}")
                report.look_at_the_clock()
                with balanced(house.database) as tally:
                    part(stage, tally)


def warm_up(stage: Stage) -> None:
    """Enough calls that pools are full and statements prepared before anything is measured."""
    with balanced(stage.house.database) as tally:
        for target in (stage.farebox, *(target for _, target in stage.anchors())):
            plan = Plan((target,), stage.body(EVENTS, 0), EVENTS, CALLERS, 10)
            stage.load(plan, tally)


def cpu(stage: Stage, tally: Tally) -> None:
    """CPU a call, for events that come as fast as they can, and for one every ten milliseconds."""
    effort = stage.effort
    paces = (
        (EVENTS, 0, "back to back", effort.rounds),
        (EVENTS, 10, PACED, effort.paced_rounds),
        (OPEN_EVENTS, 10, PACED, effort.paced_rounds // 3),
    )
    for events, delay_ms, pace, rounds in paces:
        costs: dict[str, list[float]] = {"farebox": [], "nginx": []}
        seen = []
        for _ in range(effort.repeats):
            stage.report.look_at_the_clock()
            for program, target in [(stage.web, stage.farebox), *stage.anchors()]:
                # A call costs nginx a tenth: more of them, for the clock ticks by 10 ms.
                often = rounds * 5 if target.name == "nginx" and not delay_ms else rounds
                plan = Plan((target,), stage.body(events, delay_ms), events, CALLERS, often)
                cost, found = stage.cost(program, plan, tally)
                costs[target.name].append(cost)
                seen.append(found)
        stage.report.details[f"cpu, {events} events {pace}"] = seen
        _cpu_lines(stage, f"{events} events {pace}", costs, _CPU_TARGETS[events, delay_ms])


# By events and milliseconds between them: at most so many milliseconds, and times nginx's.
_CPU_TARGETS = {
    (EVENTS, 0): (0.8, None),
    (EVENTS, 10): (None, None),
    (OPEN_EVENTS, 10): (None, 3.0),
}


def _cpu_lines(
    stage: Stage,
    told: str,
    costs: dict[str, list[float]],
    targets: tuple[float | None, float | None],
) -> None:
    what = f"CPU a call, {told}"
    farebox = Figure.of(costs["farebox"])
    anchor = Figure.of(costs["nginx"]) if costs["nginx"] else None
    stage.report.lines.append(Line("cpu", what, "ms", farebox, targets[0], None, "nginx", anchor))
    if anchor:
        pairs = zip(costs["farebox"], costs["nginx"], strict=True)
        ratio = Figure.of([ours / theirs for ours, theirs in pairs])
        stage.report.lines.append(Line("cpu", "the same, times nginx's", "x", ratio, targets[1]))


def first_byte(stage: Stage, tally: Tally) -> None:
    """What one caller waits longer for the first byte than straight from the upstream.

    Measured back to back, and once more with pauses in the streams: then the machine's cores and
    disk fall asleep between two steps of a call, and waking them is a good part of the wait.
    """
    rounds = stage.effort.first_byte_rounds
    for delay_ms, pace, often in ((0, "back to back", rounds), (10, PACED, rounds // 10)):
        _first_byte(stage, tally, delay_ms, pace, often)
    # A hold is on disk before the provider is asked, so this much of the wait is the disk's.
    flush = Figure.of([flush_ms(stage.house.folder) for _ in range(stage.effort.repeats)])
    stage.report.lines.append(Line("first-byte", "one flush of this disk, for scale", "ms", flush))


def _first_byte(stage: Stage, tally: Tally, delay_ms: int, pace: str, rounds: int) -> None:
    added: dict[str, list[float]] = {"farebox": [], "nginx": []}
    targets = (stage.upstream, stage.farebox, *(target for _, target in stage.anchors()))
    plan = Plan(targets, stage.body(EVENTS, delay_ms), EVENTS, 1, rounds, interleave=True)
    seen = []
    for _ in range(stage.effort.repeats):
        stage.report.look_at_the_clock()
        found = stage.load(plan, tally)
        seen.append(found)
        for name, values in added.items():
            if name in found:
                values.append(found[name]["first_ms"] - found["upstream"]["first_ms"])
    stage.report.details[f"first-byte, {pace}"] = seen
    anchor = Figure.of(added["nginx"]) if added["nginx"] else None
    what = f"added to the first byte, {EVENTS} events {pace}"
    at_most = None if delay_ms else 1.2
    stage.report.lines.append(
        Line("first-byte", what, "ms", Figure.of(added["farebox"]), at_most, None, "nginx", anchor)
    )
