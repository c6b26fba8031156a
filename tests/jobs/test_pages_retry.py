"""A job's page: its retry, and what became of its webhook; the same in the admin."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from jobs.models import Delivery, Job
from ledger import verbs
from tests.admin_pages import token_on
from tests.fakes.providers import Behaviour, FakeProviders
from tests.jobs.asking import Asker, chat
from tests.proxy.riders import Rider, make_rider

ASKED = "what only they may know"


@pytest.fixture
def asker(configured: Any, rider: Rider) -> Asker:
    return Asker(rider)


@pytest.fixture
def browser(rider: Rider) -> Client:
    client = Client()
    client.force_login(rider.user)
    return client


@pytest.fixture
def admin(asker: Asker) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser(email="staff@example.com"))
    return client


@pytest.fixture
def failed(hire, fake: FakeProviders, asker: Asker) -> str:
    fake.script(Behaviour(status=400, message="no such thing"))
    return str(asker.done(hire(), "completion", chat(ASKED))["id"])


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_retried_on_its_page(browser: Client, asker: Asker, failed: str) -> None:
    page = f"/dashboard/jobs/{failed}/"
    assert f'action="{page}retry/"' in text_of(browser, page)
    answer = browser.post(f"{page}retry/")
    new = Job.objects.exclude(pk=failed).get()
    assert (answer.status_code, answer.headers["location"]) == (302, f"/dashboard/jobs/{new.pk}/")
    assert f"/dashboard/jobs/{failed}/" in text_of(browser, answer.headers["location"])
    before = text_of(browser, page)
    assert answer.headers["location"] in before
    assert "retry/" not in before
    assert browser.post(f"{page}retry/").headers["location"] == answer.headers["location"], (
        "twice makes one"
    )
    asker.cancel(str(new.pk))
    assert f'action="{page}retry/"' in text_of(browser, page)


def test_one_that_cannot_be_paid_says_so(browser: Client, asker: Asker, failed: str) -> None:
    verbs.spend(account=asker.rider.wallet, amount=asker.rider.funded, key="all of it")
    answer = browser.post(f"/dashboard/jobs/{failed}/retry/", follow=True)
    assert "0.000000 available" in answer.content.decode()
    assert Job.objects.count() == 1


def test_no_retry_of_what_is_not_theirs_or_did_not_fail(
    browser: Client, asker: Asker, failed: str
) -> None:
    job = asker.make("noop")["id"]
    assert "retry/" not in text_of(browser, f"/dashboard/jobs/{job}/")
    answer = browser.post(f"/dashboard/jobs/{job}/retry/", follow=True)
    assert "has not ended" in answer.content.decode()
    asker.cancel(job)
    stranger = Client()
    stranger.force_login(make_rider("other@example.com").user)
    assert stranger.post(f"/dashboard/jobs/{failed}/retry/").status_code == 404
    assert browser.get(f"/dashboard/jobs/{failed}/retry/").status_code == 405
    assert Client().post(f"/dashboard/jobs/{failed}/retry/").status_code == 302
    assert Job.objects.count() == 2


def test_staff_retry_it(admin: Client, asker: Asker, failed: str) -> None:
    path = f"/admin/jobs/job/{failed}/retry/"
    assert "held of their credits" in text_of(admin, path)
    body = {"token": token_on(admin, path), "confirmed": "yes"}
    html = admin.post(path, body, follow=True).content.decode()
    new = Job.objects.exclude(pk=failed).get()
    assert f"Queued again as job {new.pk}" in html
    assert (new.user, new.held) == (asker.rider.user, asker.rider.held)
    assert ASKED not in html
    assert "retried already" in admin.post(path, body, follow=True).content.decode()
    for job, other in ((failed, new.pk), (new.pk, failed)):
        assert f"/admin/jobs/job/{other}/change/" in text_of(
            admin, f"/admin/jobs/job/{job}/change/"
        )
    asker.cancel(str(new.pk))


def test_staff_are_told_why_not(admin: Client, asker: Asker, failed: str) -> None:
    job = asker.make("completion", chat())["id"]
    assert "has not ended" in text_of(admin, f"/admin/jobs/job/{job}/retry/")
    asker.cancel(job)
    assert "was deleted then" in text_of(admin, f"/admin/jobs/job/{job}/retry/")
    for name in ("cancel", "try-now"):
        html = text_of(admin, f"/admin/jobs/job/{job}/{name}/")
        assert "has ended already" in html or "can be tried now" in html
        assert "Yes, do it" not in html
    verbs.spend(account=asker.rider.wallet, amount=asker.rider.funded, key="all of it")
    path = f"/admin/jobs/job/{failed}/retry/"
    html = admin.post(path, {"token": token_on(admin, path), "confirmed": "yes"}).content.decode()
    assert "0.000000 available" in html
    assert Job.objects.count() == 2


def test_what_became_of_its_webhook(browser: Client, configured: Any, asker: Asker) -> None:
    url = "https://203.0.113.7/hooks?of=jobs"
    job = asker.make("noop")["id"]
    assert "Webhook</h2>" not in text_of(browser, f"/dashboard/jobs/{job}/")
    Job.objects.filter(pk=job).update(webhook=url)
    html = text_of(browser, f"/dashboard/jobs/{job}/")
    assert url in html
    assert "told when the job has ended" in html
    asker.cancel(job)
    assert "pending" in text_of(browser, f"/dashboard/jobs/{job}/")
    next_at = timezone.now() + timedelta(minutes=5)
    Delivery.objects.update(attempts=2, problem="it answered 500", next_at=next_at)
    html = text_of(browser, f"/dashboard/jobs/{job}/")
    assert "it answered 500" in html
    assert f"{next_at:%Y-%m-%d %H:%M:%S}" in html
    Delivery.objects.update(state="failed")
    html = text_of(browser, f"/dashboard/jobs/{job}/")
    assert "given up" in html
    assert "Next try" not in html
