"""What the commands tell the person in front of them, a line at a time."""

import os
import sys


def say(line: str) -> None:
    """Print one line at once: the reader may be a pipe, or may have gone."""
    try:
        print(line, flush=True)
    except OSError:  # the terminal or the pipe was closed; stopping in order matters more
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def note(line: str) -> None:
    """A line of the command's own, told apart from its programs' lines."""
    say(f"farebox: {line}")


def mutter(line: str) -> None:
    """The same on standard error, for commands whose output belongs to another program."""
    print(f"farebox: {line}", file=sys.stderr, flush=True)
