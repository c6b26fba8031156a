"""Service keys: made by the command and in the admin, shown once, renewed and revoked there."""

import json
import re
from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.management import CommandError, call_command
from django.test import Client

from accounts import services, squatters, verbs
from accounts.models import ApiKey, User
from tests.admin_pages import token_on

pytestmark = pytest.mark.django_db

LIST = "/admin/accounts/apikey/"
MAKE = f"{LIST}make/"


def command(name):
    out = StringIO()
    call_command("create_service_key", "--name", name, stdout=out)
    (line,) = out.getvalue().splitlines()
    return json.loads(line)


def test_the_command_prints_one_line_of_json():
    told = command("shop")
    key = ApiKey.objects.get()
    assert told == {"name": "shop", "prefix": key.prefix, "api_key": told["api_key"]}
    assert told["api_key"].startswith(key.prefix)
    assert (key.name, key.scopes, key.is_active) == ("shop", ["credits"], True)


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\nb"])
def test_names_that_can_not_be(name):
    with pytest.raises(CommandError, match="--name"):
        command(name)
    assert not ApiKey.objects.exists()
    assert not User.objects.exists()


def test_they_belong_to_the_deployment_and_nobody_can_be_it():
    # Somebody wanted to be first, and signed up with such an address.
    squatter = User.objects.create_user(f"keys-1@{services.NOWHERE}", "a password")
    first, second = command("shop"), command("press")
    assert first["api_key"] != second["api_key"]
    (owner,) = {key.user for key in ApiKey.objects.all()}
    assert owner != squatter
    assert owner.is_staff
    assert not owner.is_superuser
    assert not owner.has_usable_password()
    assert owner.email.endswith(".invalid")
    assert squatters.forget_unverified() == 0


def test_there_are_only_so_many(settings):
    owner = services.owner()
    for n in range(verbs.KEYS_A_USER):
        verbs.issue_key(user=owner, name=str(n))
    with pytest.raises(CommandError, match="the most there can be"):
        command("shop")


def staff(*permissions):
    somebody = User.objects.create_user("clerk@example.com", is_staff=True)
    somebody.user_permissions.set(
        Permission.objects.filter(codename__in=permissions, content_type__app_label="accounts")
    )
    browser = Client()
    browser.force_login(somebody)
    return browser


@pytest.fixture
def browser():
    return staff("view_apikey", "add_apikey", "change_apikey")


def shown(html):
    return re.findall(r"fb_[0-9A-Za-z]{46}", html)


def make(browser, **more):
    filled = {"token": token_on(browser, MAKE), "name": "shop", "reason": "the new shop"} | more
    return filled, browser.post(MAKE, filled)


def test_making_one_asks_first_and_shows_it_once(browser):
    filled, asked = make(browser)
    assert "can take credits from every user" in asked.content.decode()
    assert not ApiKey.objects.exists()
    done = browser.post(MAKE, filled | {"confirmed": "yes"})
    key = ApiKey.objects.get()
    page = f"{LIST}{key.pk}/change/"
    assert (done.status_code, done["location"]) == (302, page)
    assert "fb_" not in str(browser.session.items())
    (secret,) = shown(browser.get(page).content.decode())
    assert bytes(key.digest) == services.keys.digest(secret)
    assert shown(browser.get(page).content.decode()) == []
    assert (key.name, key.scopes) == ("shop", ["credits"])
    entry = LogEntry.objects.get(object_id=str(key.pk))
    assert "the new shop" in entry.change_message
    assert secret not in entry.change_message

    # The same form sent twice is one key.
    again = browser.post(MAKE, filled | {"confirmed": "yes"})
    assert again["location"] == page
    assert ApiKey.objects.count() == 1


def test_what_can_not_be_is_said_in_the_form(browser):
    for wrong in ({"name": ""}, {"name": "a\x07b"}, {"name": "x" * 101}, {"reason": ""}):
        _, answer = make(browser, **wrong, confirmed="yes")
        assert answer.status_code == 200
    assert not ApiKey.objects.exists()


def test_renewing_asks_first_and_shows_the_new_secret_once(browser):
    issued = services.issue(name="shop")
    path = f"{LIST}{issued.key.pk}/renew/"
    filled = {"token": token_on(browser, path), "reason": "it leaked"}
    assert "stops working at once" in browser.post(path, filled).content.decode()
    assert ApiKey.objects.get().prefix == issued.key.prefix
    page = browser.post(path, filled | {"confirmed": "yes"}, follow=True).content.decode()
    (secret,) = shown(page)
    renewed = ApiKey.objects.get()
    assert renewed.pk == issued.key.pk
    assert bytes(renewed.digest) == services.keys.digest(secret)
    assert services.keys.digest(issued.secret) != bytes(renewed.digest)


def test_only_what_is_a_live_service_key_is_renewed(browser, api_key):
    assert browser.get(f"{LIST}{api_key.key.pk}/renew/").status_code == 403
    assert services.renew(key=api_key.key) is None
    ended = services.issue(name="shop").key
    verbs.revoke_key(key=ended)
    assert services.renew(key=ended) is None


def test_revoking_is_for_service_keys_too(browser):
    key = services.issue(name="shop").key
    path = f"{LIST}{key.pk}/revoke/"
    filled = {"token": token_on(browser, path), "reason": "the shop has closed"}
    browser.post(path, filled)
    assert ApiKey.objects.get().is_active
    browser.post(path, filled | {"confirmed": "yes"})
    assert not ApiKey.objects.get().is_active


def test_the_list_tells_them_apart(browser, api_key):
    services.issue(name="the-shop")
    names = {
        kind: {name for name in ("the-shop", ">test<") if name in page}
        for kind in ("service", "user")
        if (page := browser.get(LIST, {"kind": kind}).content.decode())
    }
    assert names == {"service": {"the-shop"}, "user": {">test<"}}


def test_it_takes_the_right_to():
    viewer = staff("view_apikey")
    assert "Make a service key" not in viewer.get(LIST).content.decode()
    assert viewer.get(MAKE).status_code == 403
    key = services.issue(name="shop").key
    for action in ("renew", "revoke"):
        assert viewer.post(f"{LIST}{key.pk}/{action}/", {"confirmed": "yes"}).status_code == 403
    assert Client().get(MAKE).status_code == 302
