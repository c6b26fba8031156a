"""The supervisor keeps programs running, gives up in words, and leaves nothing behind."""

import json
import os
import signal

import psutil
import pytest

from devtools.signals import Stopped
from devtools.supervise import GaveUp

FOREVER = "import signal, os; print(os.getpid()); signal.pause()"
DEAF = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf'); signal.pause()"
# Tells the ids of itself and of a child of its own, and waits.
WITH_CHILD = (
    "import os, signal, subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
    "print(os.getpid(), child.pid)\n"
    "signal.pause()"
)


def numbers(service):
    """Every number the program has printed, over all its lives."""
    return [int(word) for word in service.log.read_text().split() if word.isdigit()]


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_killed_program_is_started_again_and_the_signal_named(
    supervisor, program, said, eventually
):
    service = program(FOREVER)
    supervisor.start(service)
    eventually(lambda: len(numbers(service)) == 1)
    os.kill(numbers(service)[0], signal.SIGKILL)
    eventually(lambda: len(numbers(service)) == 2, supervisor.poll)
    assert "a was ended by SIGKILL; starting it again" in said
    assert is_running(numbers(service)[1])


def test_what_a_dead_program_had_started_is_ended_before_the_restart(
    supervisor, program, eventually
):
    service = program(WITH_CHILD)
    supervisor.start(service)
    eventually(lambda: len(numbers(service)) == 2)
    parent, child = numbers(service)
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: len(numbers(service)) == 4, supervisor.poll)
    assert not is_running(child)


def test_it_gives_up_after_five_deaths_and_shows_the_last_lines(
    supervisor, program, said, eventually
):
    supervisor.start(program("print('the reason'); raise SystemExit(7)"))
    with pytest.raises(GaveUp) as gave_up:
        eventually(lambda: False, supervisor.poll)
    assert "a ended with exit code 7, 5 times within 30 seconds" in str(gave_up.value)
    assert "    the reason" in str(gave_up.value)
    assert said.count("a      | the reason") == 5


def test_stopping_ends_the_groups_in_order(supervisor, program, place, eventually):
    order = place / "order"
    code = (
        "import signal, sys\n"
        "def end(*_):\n"
        f"    open({str(order)!r}, 'a').write(sys.argv[1]); sys.exit()\n"
        "signal.signal(15, end); print('ready')\n"
        "while True: signal.pause()"
    )
    services = [program(code.replace("sys.argv[1]", repr(name)), name) for name in ("b", "a")]
    for service in services:
        supervisor.start(service)
    eventually(lambda: all("ready" in service.log.read_text() for service in services))
    supervisor.stop(["a"], ["b"])
    assert order.read_text() == "ab"


def test_a_program_deaf_to_the_signal_is_killed_when_its_time_is_up(
    supervisor, program, place, eventually
):
    service = program(DEAF, stop_seconds=0.3)
    supervisor.start(service)
    eventually(lambda: "deaf" in service.log.read_text())
    [[pid, *_]] = json.loads((place / "children.json").read_text())
    supervisor.stop(["a"])
    assert not psutil.pid_exists(pid)
    assert json.loads((place / "children.json").read_text()) == []


def test_a_second_signal_ends_the_patience(supervisor, program, signals, eventually):
    service = program(DEAF, stop_seconds=3600)
    supervisor.start(service)
    eventually(lambda: "deaf" in service.log.read_text())
    signals._note(signal.SIGINT, None)
    with pytest.raises(Stopped):
        supervisor.poll()
    signals.first -= 1  # a second ago
    signals._note(signal.SIGINT, None)
    supervisor.stop(["a"])  # would take an hour


def test_both_halves_of_one_key_press_count_once(signals):
    signals._note(signal.SIGINT, None)
    signals._note(signal.SIGTERM, None)
    assert not signals.impatient


def test_waiting_ends_with_a_sentence(supervisor, program):
    supervisor.start(program(FOREVER))
    with pytest.raises(GaveUp, match=r"the moon did not become ready within 0 seconds"):
        supervisor.wait(lambda: False, 0.1, "the moon")
