"""create_account: all of it and one JSON line, or nothing and one line of error."""

import json
import os
import subprocess
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import ApiKey, User
from billing import entitlements
from ledger.balances import balance_of
from ledger.models import Account, Transfer

pytestmark = pytest.mark.django_db


def create(*arguments):
    out = StringIO()
    call_command("create_account", *arguments, stdout=out)
    line = out.getvalue()
    assert line.count("\n") == 1
    return json.loads(line)


def test_email_key_plan_and_exactly_the_credits_that_were_said(client):
    made = create("--email", "Ada@Example.com", "--plan", "pro", "--credits", "0.5")
    assert made["email"] == "ada@example.com"
    me = client.get("/api/me", headers={"x-api-key": made["api_key"]}).json()
    assert me["plan"]["slug"] == "pro"
    assert me["balance"]["posted"] == "0.500000"
    user = User.objects.get(email="ada@example.com")
    assert not user.has_usable_password()
    grant = Transfer.objects.get()
    assert (grant.key, grant.kind) == (f"account:{user.pk}:opening", "promotion")


def test_the_default_plan_and_nothing_are_the_defaults():
    made = create("--email", "ada@example.com")
    user = User.objects.get(email=made["email"])
    assert entitlements.current(user).plan.is_default
    assert balance_of(user).posted == 0
    assert not Transfer.objects.exists()


def test_internal_is_a_plan_too():
    create("--email", "ada@example.com", "--plan", "internal", "--credits", "1000")
    assert entitlements.current(User.objects.get()).plan.slug == "internal"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--email", "nonsense"], "--email"),
        (["--email", "rider@example.com"], "--email"),
        (["--email", "RIDER@example.com"], "--email"),
        (["--email", "new@example.com", "--plan", "gold"], "--plan"),
        (["--email", "new@example.com", "--plan", ""], "--plan"),
        (["--email", "new@example.com", "--credits", "1e3"], "--credits"),
        (["--email", "new@example.com", "--credits", "-1"], "--credits"),
        (["--email", "new@example.com", "--credits", "0.0000001"], "--credits"),
        (["--email", "new@example.com", "--credits", "9" * 12], "--credits"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(user, arguments, named):
    with pytest.raises(CommandError) as caught:
        create(*arguments)
    message = str(caught.value)
    assert message.startswith(named)
    assert "\n" not in message
    assert User.objects.count() == 1
    assert not ApiKey.objects.exists()
    assert not Account.objects.filter(kind="wallet").exists()


def test_in_a_shell_it_is_one_line_on_stderr_and_exit_1(dsn):
    done = subprocess.run(
        [sys.executable, "manage.py", "create_account", "--email", "nonsense"],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"DATABASE_URL": dsn},
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "not an e-mail address" in done.stderr
