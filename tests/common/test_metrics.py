"""Tallies come to what the client library would have counted; the dead leave no gauges."""

import os
import subprocess
import sys

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import Histogram as Plain

from common.metrics import Histogram, Tally, forget_dead

BOUNDS = (0.1, 0.5, 1, 5)


def test_a_tally_is_as_good_as_observing_each():
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    taking = Histogram("seconds", "x", ["route"], registry=ours, buckets=BOUNDS).labels("chat")
    observing = Plain("seconds", "x", ["route"], registry=theirs, buckets=BOUNDS).labels("chat")
    tally = Tally(BOUNDS)
    values = [0, 0.05, 0.1, 0.100001, 0.5, 0.75, 1, 4.9, 5, 5.1, 1_000]
    for number, value in enumerate(values):
        tally.observe(value)
        observing.observe(value)
        if number == 5:
            taking.take(tally)
    taking.take(tally)
    taking.take(tally)  # emptied: adds nothing
    assert _samples(ours) == _samples(theirs)


def test_gauges_of_who_is_dead_go_and_those_of_the_living_stay(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    kept = {f"gauge_livesum_{os.getpid()}.db", f"counter_{dead.pid}.db", f"gauge_max_{dead.pid}.db"}
    for name in (*kept, f"gauge_livesum_{dead.pid}.db", f"gauge_livemax_{dead.pid}.db"):
        (tmp_path / name).touch()
    forget_dead(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == kept


def test_a_process_is_looked_for_by_its_number_each_time(tmp_path):
    later = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        file = tmp_path / f"gauge_livesum_{later.pid}.db"
        file.touch()
        forget_dead(tmp_path)
        assert file.exists()
    finally:
        later.communicate(b"\n")
    forget_dead(tmp_path)
    assert not file.exists()


def _samples(registry):
    told = generate_latest(registry).decode().splitlines()
    return [line for line in told if "_created" not in line]
