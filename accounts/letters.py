"""The look of a mail. Its words are written once, as plain text; the HTML is made from them.

So both always say the same. A text is paragraphs with blank lines between them. A line that is a
code and nothing else is shown large; lines that begin with "- " are a list; addresses are links;
what follows a line of "-- " is the foot.
"""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.html import urlize
from django.utils.safestring import SafeString, mark_safe

WIDTH = 72
FOOT = "-- "
_CODE = re.compile(r"[A-Z0-9]{3,4}-[A-Z0-9]{3,4}|[0-9]{6,8}")
_LINK = "color:#176454;text-decoration:underline"


@dataclass(frozen=True)
class Block:
    """A part of a letter: ``kind`` is text, code or list; ``lines`` are HTML."""

    kind: str
    lines: list[SafeString]


def dress(message: EmailMultiAlternatives) -> EmailMultiAlternatives:
    """Give a mail of text alone its HTML beside it, and the text lines of a bearable length."""
    text, _, foot = str(message.body).strip().partition(f"\n{FOOT}\n")
    context = {
        "subject": message.subject,
        "blocks": list(blocks_of(text)),
        "foot": [_html(line) for line in foot.splitlines() if line.strip()],
        "preview": text.partition("\n\n")[0],
    }
    message.body = "\n\n".join(_wrapped(text)) + (f"\n\n{FOOT}\n{foot.strip()}" if foot else "")
    message.attach_alternative(render_to_string("mail/letter.html", context), "text/html")
    return message


def blocks_of(text: str) -> Iterator[Block]:
    """The parts of a letter's text."""
    for lines in _paragraphs(text):
        if len(lines) == 1 and _CODE.fullmatch(lines[0].strip()):
            yield Block("code", [_html(lines[0].strip())])
        elif all(line.startswith("- ") for line in lines):
            yield Block("list", [_html(line.removeprefix("- ")) for line in lines])
        else:
            yield Block("text", [_html(line) for line in lines])


def _paragraphs(text: str) -> list[list[str]]:
    found = (part.strip("\n").splitlines() for part in re.split(r"\n[ \t]*\n", text))
    return [lines for lines in found if lines]


def _wrapped(text: str) -> Iterator[str]:
    for lines in _paragraphs(text):
        yield "\n".join(_fold(line) for line in lines)


def _fold(line: str) -> str:
    indent = "  " if line.startswith("- ") else ""
    return textwrap.fill(
        line.strip(),
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _html(line: str) -> SafeString:
    linked = urlize(line, nofollow=False, autoescape=True)
    return mark_safe(linked.replace("<a href=", f'<a style="{_LINK}" class="link" href='))
