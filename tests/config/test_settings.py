"""A bad setting stops the start, and its name is the first thing said."""

import json
import os
import subprocess
import sys

import pytest

KEPT = ("PATH", "HOME", "PYTHONPATH")
GOOD = {
    "SECRET_KEY": "x" * 50,
    "DATABASE_URL": "postgresql://farebox@localhost/farebox",
    "ALLOWED_HOSTS": "farebox.example",
    "ALLOW_DEMO": "true",
    "EMAIL_URL": "smtp+tls://user:pass@mail.farebox.example",
}


# Each start is a fork of a process that has imported what is not ours: a second each is saved.
STARTER = """
import json, os, sys, traceback
import celery.app.base, celery.fixups.django, celery.schedules, celery.worker.worker
import django.core.management, django.core.serializers.json, django.db.models, django.forms
import django.template.loader, environ, kombu.common, limits, psycopg, redis.asyncio, structlog

for line in sys.stdin:
    ours, childs = os.pipe()
    child = os.fork()
    if not child:
        os.environ.clear()
        os.environ.update(json.loads(line))
        os.dup2(childs, 1)
        os.dup2(childs, 2)
        try:
            import config.settings as settings
            print(settings.HTTPS, settings.DEBUG, flush=True)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(childs)
    with open(ours) as said:
        told = said.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([code, told]), flush=True)
"""


@pytest.fixture(scope="module")
def starter():
    argv = [sys.executable, "-c", STARTER]
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=kept
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def start(starter):
    """Import the settings in a process of its own; answers its exit and its last line."""

    def start(**settings):
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        env = kept | {name: value for name, value in settings.items() if value is not None}
        print(json.dumps(env), file=starter.stdin, flush=True)
        code, said = json.loads(starter.stdout.readline())
        return code, said.strip().splitlines()[-1]

    return start


def test_good_settings_start(start):
    assert start(**GOOD) == (0, "True False")


def test_development_needs_little(start):
    few = {"SECRET_KEY": "short", "DATABASE_URL": "dbname=farebox host=/tmp", "DEBUG": "true"}
    assert start(**few) == (0, "False True")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", None),
        ("SECRET_KEY", "too short"),
        ("DATABASE_URL", None),
        ("DATABASE_URL", "mysql://localhost/farebox"),
        ("DATABASE_URL", "postgresql://localhost"),
        ("ALLOWED_HOSTS", None),
        ("DEBUG", "perhaps"),
        ("REDIS_URL", "localhost:6379"),
        ("PUBLIC_URL", "http://farebox.example"),
        ("PUBLIC_URL", "farebox.example"),
        ("PORT", "99999"),
        ("OPENAI_BASE_URL", "http://10.0.0.1/v1"),
        ("OPENAI_BASE_URL", "https://user:pass@host/v1"),
        ("ANTHROPIC_BASE_URL", "ftp://host"),
        ("CREDIT_PRICE_USD", "0"),
        ("CREDIT_PRICE_USD", "ten"),
        ("PRICE_MARKUP", "-1"),
        ("PRICE_MARKUP", "NaN"),
        ("MAX_CHOICES", "1.5"),
        ("HOLD_LEASE_SECONDS", "1"),
        ("DATABASE_POOL_SIZE", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_JSON", "2"),
        ("STRIPE_SECRET_KEY", None),
        ("ENABLE_PAYMENTS", None),
        ("EMAIL_URL", None),
        ("EMAIL_URL", "mail.farebox.example"),
        ("EMAIL_URL", "smtps://mail.farebox.example"),
        ("EMAIL_URL", "smtp://user:pass@"),
        ("EMAIL_URL", "smtp://user:pass@mail.farebox.example:port"),
        ("EMAIL_URL", "smtp://user:pass@mail.farebox.example?timeout=1"),
        ("EMAIL_URL", "filemail://folder"),
        ("DEFAULT_FROM_EMAIL", "Farebox"),
        ("DEFAULT_FROM_EMAIL", "Farebox <mail@>"),
    ],
)
def test_a_bad_value_stops_the_start_with_its_name(start, name, value):
    more = {}
    if name == "STRIPE_SECRET_KEY":
        more = {"ENABLE_PAYMENTS": "true"}
    if name == "ENABLE_PAYMENTS":  # demo mode, without leave, DEBUG off
        more = {"ALLOW_DEMO": "false"}
    code, said = start(**(GOOD | more | {name: value}))
    assert code != 0
    assert said.startswith(f"django.core.exceptions.ImproperlyConfigured: {name}: "), said
    assert "user:pass@" not in said
