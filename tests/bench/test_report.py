"""Figures beside their targets and anchors."""

import json
from pathlib import Path

from bench.report import Figure, Line, Report


def line(value: float, **given: float) -> Line:
    return Line("cpu", "CPU a call", "ms", Figure.of([value]), **given)


def test_a_figure_is_the_median_and_shows_its_spread() -> None:
    assert str(Figure.of([3.0, 1.0, 2.0])) == "2 (1..3)"
    assert str(Figure.of([0.98765])) == "0.988"
    assert str(Figure.of([1234.5])) == "1234"


def test_targets_are_met_from_the_right_side() -> None:
    assert line(1.0, at_most=1.0).verdict == "ok"
    assert line(1.01, at_most=1.0).verdict == "MISS"
    assert line(800, at_least=800).verdict == "ok"
    assert line(799, at_least=800).verdict == "MISS"
    assert line(5).verdict == ""


def test_the_table_and_the_file_say_the_same(tmp_path: Path) -> None:
    anchor = Figure.of([0.1])
    beside = Line("cpu", "CPU a call", "ms", Figure.of([0.5]), 1.0, None, "nginx", anchor)
    report = Report(lines=[beside], facts={"cores": 2})
    assert "0.5 ms  ≤ 1     nginx 0.1  5.00 x  ok" in report.table()
    report.write(tmp_path / "made" / "figures.json")
    written = json.loads((tmp_path / "made" / "figures.json").read_text())
    assert written["facts"] == {"cores": 2}
    assert written["lines"][0]["ratio"] == 5
    assert written["lines"][0]["verdict"] == "ok"
