"""Static files are collected when they changed, and not again."""

import pytest

from devtools import static


@pytest.fixture
def commands(monkeypatch, place):
    """What would be run, in a project of one style sheet."""
    ran = []

    def manage(env, check, *words):
        ran.append((env["DEBUG"], words[0]))
        (place / "build" / "static" / "staticfiles.json").write_text("{}")
        return []

    (place / "static").mkdir()
    (place / "static" / "site.css").write_text("p {}")
    monkeypatch.setattr(static, "ROOT", place)
    monkeypatch.setattr(static, "STATIC", place / "build" / "static")
    monkeypatch.setattr(static, "STAMP", place / "build" / "static.stamp")
    monkeypatch.setattr(static, "manage", manage)
    return ran


def collect():
    static.collect({"DEBUG": "true"}, lambda: None)


def test_once_for_each_change(commands, place):
    collect()
    assert commands == [("false", "collectstatic")]
    collect()
    assert len(commands) == 1
    (place / "static" / "site.css").write_text("p { color: red }")
    collect()
    assert len(commands) == 2


def test_again_when_what_was_collected_is_gone(commands, place):
    collect()
    (place / "build" / "static" / "staticfiles.json").unlink()
    collect()
    assert len(commands) == 2
