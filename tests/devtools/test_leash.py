"""A program on the leash ends with its parent, however that ends."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from devtools.leftovers import Register
from devtools.processes import ROOT, leashed, run_step

# Starts one leashed program, says its id, and waits to be killed.
PARENT = (
    "import signal, subprocess, sys\n"
    "from devtools.processes import leashed\n"
    "code = 'import signal; signal.pause()'\n"
    "print(subprocess.Popen(leashed([sys.executable, '-c', code])).pid, flush=True)\n"
    "signal.pause()"
)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_killed_parent_takes_its_program_along(eventually):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            child = psutil.Process(int(parent.stdout.readline()))
            # Between the two programs there is a moment without any command line.
            eventually(lambda: "pause" in (line := str(child.cmdline())) and "leash" not in line)
        finally:
            parent.kill()
        gone, _ = psutil.wait_procs([child], timeout=20)
    assert gone


def test_a_command_that_is_not_there_is_named():
    done = subprocess.run(leashed(["/no/such/program"]), capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "/no/such/program: No such file or directory\n"


def test_a_step_hands_on_its_lines_and_its_exit_code():
    lines = []
    code = "print('one'); print('two', flush=True); raise SystemExit(3)"
    assert run_step([sys.executable, "-c", code], os.environ, lines.append, lambda: None) == 3
    assert lines == ["one", "two"]


def test_a_step_that_is_broken_off_does_not_go_on():
    class Enough(Exception):
        pass

    started = []

    def check():
        if started:
            raise Enough

    code = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    with pytest.raises(Enough):
        run_step([sys.executable, "-c", code], os.environ, started.append, check)
    assert not psutil.pid_exists(int(started[0]))


def test_the_next_start_ends_what_the_last_one_left(place, said):
    code = "import signal; signal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as left_over:
        name = psutil.Process(left_over.pid).name()
        Register(place / "children.json").add(left_over.pid, signal.SIGTERM)
        Register(place / "children.json").stop_leftovers(said.append)
        assert not psutil.pid_exists(left_over.pid)
    assert said == [f"ending process {left_over.pid} ({name}), left over by an earlier start"]
    assert not (place / "children.json").exists()


def test_a_process_that_only_has_the_same_number_is_left_alone(place, said):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        started = psutil.Process(other.pid).create_time() - 60
        (place / "children.json").write_text(f"[[{other.pid}, {started}, 15]]")
        Register(place / "children.json").stop_leftovers(said.append)
        assert other.poll() is None
        other.kill()
    assert said == []
