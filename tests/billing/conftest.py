import pytest
from django.test import Client

from accounts.models import User
from tests.billing.stripe_world import (  # noqa: F401  fixtures
    delivering,
    fake_stripe,
    plans,
    stripe_process,
    stripe_server,
)


@pytest.fixture
def staff(user: User) -> User:
    """Somebody who may do everything in the admin."""
    return User.objects.create_superuser(email="staff@example.com", first_name="Sam")


@pytest.fixture
def admin(staff: User) -> Client:
    client = Client()
    client.force_login(staff)
    return client
