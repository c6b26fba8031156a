from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from accounts import verbs
from accounts.models import User
from accounts.verbs import IssuedKey
from tests.usage.unlocked import begins_unlocked


@pytest.fixture
def api(api_key: IssuedKey) -> Client:
    """A client that sends ``user``'s key."""
    return Client(headers={"x-api-key": api_key.secret})


@pytest.fixture
def stranger(user: User) -> User:
    """Somebody else."""
    return verbs.create_user(email="stranger@example.com")


@pytest.fixture
def stranger_api(stranger: User) -> Client:
    return Client(headers={"x-api-key": verbs.issue_key(user=stranger, name="theirs").secret})


@pytest.fixture
def unlocked(clean_books: None, connect: Callable[..., Any]) -> Iterator[Callable[[int], None]]:
    """Calls begin without the wallet's lock: the controls of races. ``unlocked(10)``: ten sessions
    will begin one, and have all looked before one of them acts."""
    with begins_unlocked() as meeting:
        yield lambda sessions: meeting.expect(connect(), sessions)
