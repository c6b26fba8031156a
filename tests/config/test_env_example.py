""".env.example lists every setting that is read, once, with its default, and nothing else."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
READS = re.compile(
    r"""env\.(?:text|flag|whole|decimal|names|choice|redis|url|database|mail|mailbox)\(\s*["']([A-Z0-9_]+)["']"""
)


def names_read():
    return {
        name for path in (ROOT / "config").rglob("*.py") for name in READS.findall(path.read_text())
    }


def lines():
    text = (ROOT / ".env.example").read_text().splitlines()
    return [line for line in text if re.match(r"(# )?[A-Z0-9_]+=", line)]


def listed():
    return [line.removeprefix("# ").partition("=")[0] for line in lines()]


def test_what_is_read_is_listed_and_the_other_way_round():
    assert set(listed()) == names_read()
    assert len(listed()) == len(set(listed()))


def test_each_has_a_comment_above_it():
    text = (ROOT / ".env.example").read_text().splitlines()
    for number, line in enumerate(text):
        if line in lines():
            above = text[number - 1]
            assert above in lines() or re.match(r"# [A-Za-z\"]", above), line


def test_defaults_that_are_numbers_are_the_ones_in_the_settings():
    source = (ROOT / "config" / "settings.py").read_text()
    for line in lines():
        name, _, value = line.removeprefix("# ").partition("=")
        found = re.search(rf'whole\(["\']{name}["\'], ([\d_ *]+)', source)
        if found:
            parts = [int(part) for part in found[1].replace("_", "").split("*")]
            product = 1
            for part in parts:
                product *= part
            assert int(value) == product, name
