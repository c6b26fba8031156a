"""What a fake Stripe is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# dj-stripe takes no key shorter than this.
KEY = "sk_test_FareboxFakeStripe0000000000"
SECRET = "whsec_FareboxFakeStripe0000000000"


@dataclass(frozen=True)
class Options:
    """``url`` is where people and programs reach it, without a slash at the end.

    ``webhook`` is an address that gets every event signed with ``secret``, beside the endpoints
    made through the API. ``key`` is the one that is told to people; any ``sk_test_…`` opens.
    ``state`` is the file that carries everything over a restart. Events are signed at the time
    that the fake's clock shows, or with ``real_signatures`` at this machine's, as Stripe does when
    a test clock moves: a test may shift its own clock along, a running deployment can't.
    """

    url: str
    state: Path | None = None
    webhook: str = ""
    secret: str = SECRET
    key: str = KEY
    real_signatures: bool = False
