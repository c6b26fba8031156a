"""The account's pages of jobs."""

from typing import Any

import pytest
from django.test import Client

from tests.fakes.providers import Behaviour, FakeProviders
from tests.jobs.asking import Asker, chat
from tests.proxy.riders import Rider, make_rider


@pytest.fixture
def asker(configured: Any, rider: Rider) -> Asker:
    return Asker(rider)


@pytest.fixture
def browser(rider: Rider) -> Client:
    client = Client()
    client.force_login(rider.user)
    return client


def test_the_list_and_a_job_that_waits(browser: Client, asker: Asker) -> None:
    assert "Nothing yet" in browser.get("/dashboard/jobs/").content.decode()
    job = asker.make("completion", chat())["id"]
    html = browser.get("/dashboard/jobs/").content.decode()
    assert f"/dashboard/jobs/{job}/" in html
    page = browser.get(f"/dashboard/jobs/{job}/").content.decode()
    assert "queued" in page
    assert 'data-live="job"' in page
    answer = browser.post(f"/dashboard/jobs/{job}/cancel/", follow=True)
    assert "The job was canceled." in answer.content.decode()
    assert "Cancel this job" not in answer.content.decode()
    assert asker.rider.held == 0


def test_a_job_that_is_done_and_one_that_failed(
    hire, browser: Client, asker: Asker, fake: FakeProviders
) -> None:
    hand = hire()
    done = asker.done(hand, "completion", chat())["id"]
    page = browser.get(f"/dashboard/jobs/{done}/").content.decode()
    assert "100 %" in page
    assert f"/api/jobs/{done}/result" in page
    assert browser.get(f"/api/jobs/{done}/result").json()["choices"]
    fake.script(Behaviour(status=400, message="<b>not</b> this one"))
    failed = asker.done(hand, "completion", chat())["id"]
    page = browser.get(f"/dashboard/jobs/{failed}/").content.decode()
    assert "&lt;b&gt;not&lt;/b&gt; this one" in page


def test_anothers_job_is_not_there(asker: Asker) -> None:
    job = asker.make("noop")["id"]
    other = Client()
    assert other.get(f"/dashboard/jobs/{job}/").status_code == 302
    other.force_login(make_rider("other@example.com").user)
    assert other.get(f"/dashboard/jobs/{job}/").status_code == 404
    assert other.post(f"/dashboard/jobs/{job}/cancel/").status_code == 404
    assert asker.job(job)["state"] == "queued"
