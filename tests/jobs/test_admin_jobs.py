"""Jobs in the admin: by state with their age, canceled, tried at once; never what was asked."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from accounts.models import User
from jobs import verbs
from jobs.models import Job
from tests.admin_pages import token_on
from tests.jobs.asking import Asker, chat
from tests.proxy.riders import Rider

JOBS = "/admin/jobs/job/"
ASKED = "what only they may know"


@pytest.fixture
def asker(configured: Any, rider: Rider) -> Asker:
    return Asker(rider)


@pytest.fixture
def admin(asker: Asker) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser(email="staff@example.com"))
    return client


def act(client: Client, job: str, name: str) -> str:
    path = f"{JOBS}{job}/{name}/"
    token = token_on(client, path)
    return client.post(path, {"token": token, "confirmed": "yes"}, follow=True).content.decode()


def test_listed_by_state_with_age(admin: Client, asker: Asker) -> None:
    first = asker.make("completion", chat(ASKED))["id"]
    second = asker.make("noop")["id"]
    asker.cancel(second)
    Job.objects.filter(pk=first).update(created=timezone.now() - timedelta(hours=3))

    def listed(**query: str) -> list[str]:
        return [str(row.pk) for row in admin.get(JOBS, query).context["cl"].queryset]

    assert listed() == [second, first]
    assert listed(state__exact="queued") == [first]
    assert listed(q=first) == [first]
    assert listed(q="rider@") == [second, first]
    assert listed(q="nobody@") == []
    html = admin.get(JOBS).content.decode()
    assert "3\xa0hours" in html
    page = admin.get(f"{JOBS}{first}/change/")
    assert page.status_code == 200
    assert ASKED not in page.content.decode()
    for address in (f"{first}/change/", f"{first}/delete/"):
        assert admin.post(JOBS + address, {"post": "yes"}).status_code == 403
    asker.cancel(first)


def test_the_first_page_tells_how_deep_the_queue_is(admin: Client, asker: Asker) -> None:
    made = [asker.make("noop")["id"] for _ in range(3)]
    html = admin.get("/admin/").content.decode()
    assert "3 jobs queued" in html
    assert "0 running" in html
    for job in made:
        asker.cancel(job)


def test_canceled_by_staff(admin: Client, asker: Asker) -> None:
    job = asker.make("completion", chat())["id"]
    assert asker.rider.held > 0
    assert "Canceled." in act(admin, job, "cancel")
    assert (asker.job(job)["state"], asker.rider.held) == ("canceled", 0)
    assert "has ended already" in act(admin, job, "cancel")


def test_tried_at_once(admin: Client, asker: Asker) -> None:
    job = UUID(asker.make("completion", chat())["id"])
    (claimed,) = verbs.claim(limit=1, lease=timedelta(minutes=1))
    assert "can be tried now" in act(admin, str(job), "try-now")
    verbs.give_back(job=job, token=claimed.token, pause=timedelta(hours=1))
    assert verbs.claim(limit=1, lease=timedelta(minutes=1)) == []
    assert "It is tried now." in act(admin, str(job), "try-now")
    assert len(verbs.claim(limit=1, lease=timedelta(minutes=1))) == 1


def test_acting_needs_its_permission(asker: Asker) -> None:
    job = asker.make("noop")["id"]
    clerk = User.objects.create_user("clerk@example.com", is_staff=True)
    clerk.user_permissions.add(Permission.objects.get(codename="view_job"))
    client = Client()
    client.force_login(clerk)
    assert client.get(f"{JOBS}{job}/change/").status_code == 200
    for name in ("cancel", "try-now"):
        assert client.post(f"{JOBS}{job}/{name}/", {"confirmed": "yes"}).status_code == 403
    assert asker.job(job)["state"] == "queued"
