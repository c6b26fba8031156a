"""Calls for tests: made by begin and finish, or written straight into the table."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts.models import User
from common.ids import uuid7
from usage import calls
from usage.models import Call
from usage.prices import Usage

LEASE = timedelta(seconds=30)
TOKENS = Usage(input=100, output=50)
METADATA = {"model": "demo", "provider": "demo", "protocol": "openai", "price": 1, "stream": True}


def begin(user: User, *, model: str = "demo", held: int = 1_000) -> uuid.UUID:
    """An open call of ``user``'s that holds ``held`` microcredits."""
    call = uuid7()
    calls.begin(
        call=call,
        digest=None,
        user=user.pk,
        model=model,
        metadata=METADATA | {"model": model},
        worst=calls.WorstCase(
            input_tokens=100,
            input_units=held * 1_000_000,
            output_rate=0,
            output_tokens=50,
            choices=1,
            exact=True,
            floor=1,
        ),
        lease=LEASE,
        top_up_url="http://localhost/",
    )
    return call


def finish(call: uuid.UUID, *, charge: int = 400, status: str = "completed") -> uuid.UUID:
    """End a call at ``charge`` microcredits."""
    calls.finish(
        call=call, status=status, charge=charge, cost=charge, usage=TOKENS, estimated=False
    )
    return call


def written(user: User | None, **fields: Any) -> Call:
    """A call that has ended, written straight into the table; the books know nothing of it."""
    started: datetime = fields.pop("started", None) or timezone.now()
    usual: dict[str, Any] = {
        "model": "demo",
        "provider": "demo",
        "protocol": "openai",
        "status": Call.Status.COMPLETED,
        "streamed": True,
        "by_quota": False,
        "held": 1_000,
        "spent": 400,
        "written_off": 0,
        "cost": 300,
        "estimated": False,
        "input_tokens": 100,
        "cached_tokens": 20,
        "cache_write_tokens": 0,
        "cache_write_1h_tokens": 0,
        "output_tokens": 50,
        "finished": started + timedelta(seconds=2),
    }
    return Call.objects.create(user=user, started=started, **usual | fields)
