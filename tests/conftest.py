"""What every test may use: a database that can be written for real, and people with wallets.

Ask for ``clean_books`` to work with real commits: other connections, threads and processes see
them. Afterwards every table is emptied but for what migrations put there (system accounts, plans,
content types, permissions). A test whose one connection is enough may be marked
``@pytest.mark.django_db`` instead and is rolled back; ``reconcile`` needs ``clean_books``, since
it proves what is committed. Don't use both in one test.

``user``, ``wallet``, ``api_key``: somebody with an empty wallet and a key. ``fund(wallet, amount)``
fills it, ``make_wallet()`` makes somebody else. They work in either kind of test, and ask for
``clean_books`` in one that is not marked. ``proved`` is ``clean_books`` and, in the end, a
``reconcile`` that finds nothing: the thing to use wherever credits move.

``connect()`` opens a psycopg connection of its own to the same database (autocommit, closed after
the test), ``dsn`` is its address; ``on(connection, verb, ...)`` in ``tests.racing`` calls a verb
there. Under xdist every worker has a database of its own.
"""

import gc
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.apps import apps
from django.db import connection
from django.db.models.signals import post_migrate
from django.test.utils import teardown_databases
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from psycopg.conninfo import make_conninfo
from pytest_django.plugin import blocking_manager_key

from accounts import verbs as accounts
from accounts.models import User
from accounts.verbs import IssuedKey
from ledger import verbs
from tests import database, plain, zygote
from tests.emptying import SHARING, empty, take_left
from tests.planting import plant, plant_as_migrated
from tests.proving import prove
from tests.scheduling import ByServers

SLOW = (
    "tests/bench/", "tests/browser/", "tests/proxy/", "tests/devtools/", "tests/accounts/sockets/",
    "tests/billing/test_storm.py", "tests/billing/test_allowance.py",
)  # fmt: skip
gc.disable()  # while all is imported: nothing of it is garbage
plain.share_context()
plain.share_static_files()
# How long an example takes to make and to try says more of the machine than of what is tried.
hypothesis_settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("any machine")

KEPT = {"django_migrations", "django_content_type", "auth_permission"}


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest,
    django_test_environment: None,
    django_db_blocker: Any,
    django_db_keepdb: bool,
    django_db_createdb: bool,
    django_db_modify_db_settings: None,
) -> Iterator[None]:
    """The test database: commits are real, but nobody waits for the disk.

    In place of pytest-django's own, which makes none when no test of the run is marked.
    """
    with django_db_blocker.unblock():
        made = database.make(keep=django_db_keepdb, create=django_db_createdb)
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(_test_database())
            cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
    # pytest-django's own transactional tests flush everything; this puts the start back.
    post_migrate.connect(_plant_after_flush, sender=apps.get_app_config("usage"))
    yield
    if not django_db_keepdb:
        with django_db_blocker.unblock():
            teardown_databases(made, verbosity=0)


def pytest_collection_finish() -> None:
    """What was imported stays to the end, so the garbage collector need not look at it again and
    again, which takes a twelfth of a process's time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def pytest_sessionfinish() -> None:
    zygote.end()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that no process is alone with one in the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServers | None:
    return ByServers(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """What servers were left with by tests of other folders is gone before anything is set up."""
    if not item.nodeid.startswith(SHARING) and take_left():
        with item.config.stash[blocking_manager_key].unblock():
            empty(KEPT)
            plant()
            connection.close()


@pytest.fixture(autouse=True)
def _quick_hashes(settings: Any) -> None:
    """A real password hash takes a third of a second; what tests look at is not the hash."""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]


@pytest.fixture(autouse=True)
def _own_counters(settings: Any) -> None:
    """What a test counts in the cache (sign-ins, codes sent) starts from nothing, and no other
    test's process counts along."""
    settings.CACHES = {"default": settings.CACHES["default"] | {"KEY_PREFIX": uuid4().hex}}


def _test_database() -> str:
    """Its name; nothing here ever writes to another."""
    name = str(connection.settings_dict["NAME"])
    assert name.startswith("test_"), name
    return name


@pytest.fixture
def clean_books(
    request: pytest.FixtureRequest, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """Real commits; afterwards the database is as the migrations left it."""
    assert not _is_marked(request), "clean_books and django_db exclude each other"
    _test_database()
    with django_db_blocker.unblock():
        yield
        empty(KEPT)
        plant()
        connection.close()


@pytest.fixture
def proved(clean_books: None) -> Iterator[None]:
    """The books must reconcile when the test is over."""
    yield
    prove()


def _plant_after_flush(**_: Any) -> None:
    plant_as_migrated()


def _is_marked(request: pytest.FixtureRequest) -> bool:
    wanted = {"db", "transactional_db", "django_db_reset_sequences", "live_server"}
    return request.node.get_closest_marker("django_db") is not None or bool(
        wanted & set(request.fixturenames)
    )


@pytest.fixture
def _writable(request: pytest.FixtureRequest) -> None:
    if not _is_marked(request):
        request.getfixturevalue("clean_books")


@pytest.fixture
def user(_writable: None) -> User:
    """Somebody on the default plan."""
    return accounts.create_user(email="rider@example.com")


@pytest.fixture
def make_wallet(_writable: None) -> Callable[[], int]:
    """Makes further people, and answers their wallets' ids."""
    number = iter(range(1, 1_000_000))

    def make_wallet() -> int:
        somebody = accounts.create_user(email=f"rider{next(number)}@example.com")
        return verbs.wallet_of(user=somebody.pk)

    return make_wallet


@pytest.fixture
def wallet(user: User) -> int:
    """The id of ``user``'s wallet; it is empty."""
    return verbs.wallet_of(user=user.pk)


@pytest.fixture
def api_key(user: User) -> IssuedKey:
    """A key of ``user``; ``api_key.secret`` is what a client sends."""
    return accounts.issue_key(user=user, name="test")


@pytest.fixture
def fund(_writable: None) -> Callable[..., verbs.Granted]:
    """``fund(wallet, 1_000_000)``: credits that were bought and don't expire."""
    number = iter(range(1, 1_000_000))

    def fund(account: int, amount: int, **options: Any) -> verbs.Granted:
        options = {"kind": "purchase", "key": f"fund:{next(number)}"} | options
        return verbs.grant(account=account, amount=amount, **options)

    return fund


@pytest.fixture
def dsn(_writable: None) -> str:
    """A libpq address of this worker's test database."""
    settings = connection.settings_dict
    return make_conninfo(
        dbname=_test_database(),
        user=settings["USER"] or None,
        password=settings["PASSWORD"] or None,
        host=settings["HOST"] or None,
        port=settings["PORT"] or None,
        options=settings["OPTIONS"].get("options"),
    )


@pytest.fixture
def connect(dsn: str) -> Iterator[Callable[..., psycopg.Connection[Any]]]:
    """Opens connections of the test's own, in autocommit; closes them afterwards."""
    opened: list[psycopg.Connection[Any]] = []

    def connect(*, autocommit: bool = True) -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(dsn, autocommit=autocommit))
        return opened[-1]

    yield connect
    for conn in opened:
        conn.close()
