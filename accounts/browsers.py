"""Browsers in words."""

import re

_BROWSERS = (
    ("Edge", r"\bEdg"), ("Opera", r"\bOPR/"), ("Samsung Internet", r"SamsungBrowser"),
    ("Firefox", r"Firefox/|FxiOS"), ("Chrome", r"Chrome/|CriOS"), ("Safari", r"Safari/"),
)  # fmt: skip
_SYSTEMS = (
    ("Android", r"Android"), ("iPhone", r"iPhone"), ("iPad", r"iPad"), ("ChromeOS", r"CrOS"),
    ("Windows", r"Windows"), ("macOS", r"Mac OS X|Macintosh"), ("Linux", r"Linux|X11"),
)  # fmt: skip


def browser(user_agent: str) -> str:
    """A browser in words: "Firefox on Linux". What is none is named as it names itself."""
    program = _first(_BROWSERS, user_agent)
    if not program:
        return user_agent[:60] or "An unnamed program"
    system = _first(_SYSTEMS, user_agent)
    return f"{program} on {system}" if system else program


def _first(known: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for name, sign in known if re.search(sign, text)), "")
