"""What is refused at once: the contract's errors, nothing queued, nothing held, nobody asked."""

from typing import Any

import pytest

from accounts import verbs as accounts
from jobs.models import Job
from ledger import verbs
from ledger.models import Account
from tests.fakes.providers import FakeProviders
from tests.jobs.asking import Asker, chat
from tests.proxy.riders import CREDIT, Rider, make_rider


@pytest.fixture
def asker(configured: Any, rider: Rider) -> Asker:
    return Asker(rider)


def assert_refused(answer: Any, status: int, code: str, param: str | None) -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param), error
    assert not Job.objects.exists()
    return str(error["message"])


@pytest.mark.parametrize(
    ("kind", "given", "param"),
    [
        ("painting", chat(), "kind"),
        ("completion", None, "input"),
        ("completion", "Hello", "input"),
        ("completion", {"messages": chat()["messages"]}, "input.model"),
        ("completion", chat(stream=True), "input.stream"),
        ("completion", chat(max_tokens=-1), "input.max_tokens"),
        ("completion", chat(messages=[]), "input.messages"),
        ("completion", chat(base_url="http://169.254.169.254/"), "input.base_url"),
        ("completion", chat(seed=10**30), "input"),
        ("noop", {"for": "what"}, "input"),
        ("batch", {"requests": []}, "input.requests"),
        ("batch", {"requests": [chat(), "Hello"]}, "input.requests[1]"),
        ("batch", {"requests": [chat(), chat(n=0)]}, "input.requests[1].n"),
        ("batch", {"requests": [chat()], "more": 1}, "input.requests"),
    ],
)
def test_bad_input(asker: Asker, kind: str, given: Any, param: str) -> None:
    message = assert_refused(asker.post(kind, given), 400, "bad_request", param)
    assert message.startswith(param.partition("[")[0])
    asker.rider.assert_untouched()


def test_an_unknown_model(asker: Asker) -> None:
    answer = asker.post("completion", chat(model="gpt-900"))
    assert_refused(answer, 404, "model_not_found", "input.model")


def test_too_large(asker: Asker, configured: Any) -> None:
    configured.DATA_UPLOAD_MAX_MEMORY_SIZE = 10_000
    answer = asker.post("completion", chat("word " * 4_000))
    assert_refused(answer, 413, "request_too_large", None)


def test_too_many_in_a_batch(asker: Asker, configured: Any) -> None:
    configured.JOB_BATCH_MOST = 2
    answer = asker.post("batch", {"requests": [chat()] * 3})
    assert_refused(answer, 400, "bad_request", "input.requests")


@pytest.mark.parametrize("kind", ["completion", "batch"])
def test_what_cannot_be_paid_is_not_queued(
    configured: Any, clean_books: bool, fake: FakeProviders, kind: str
) -> None:
    """A batch of which a part could be paid neither: all or nothing."""
    poor = Asker(make_rider("poor@example.com", credits=30_000))
    body = chat(max_tokens=3_000)  # 18,000 microcredits and a little
    given = body if kind == "completion" else {"requests": [body, body]}
    if kind == "completion":
        body["max_tokens"] = 9_000
    answer = poor.post(kind, given)
    message = assert_refused(answer, 402, "insufficient_credits", None)
    assert "0.030000 available" in message
    assert "/dashboard/billing/" in message
    poor.rider.assert_untouched()
    assert fake.requests == []


@pytest.mark.parametrize(
    "given",
    [
        ("completion", chat(max_tokens=9_000)),
        ("batch", {"requests": [chat(max_tokens=3_000)] * 2}),  # of which one could be paid
    ],
    ids=["completion", "batch"],
)
def test_a_job_that_is_refused_for_want_of_credits_makes_low(
    configured: Any, clean_books: bool, fake: FakeProviders, given: Any
) -> None:
    """As a call that is refused does: what sees to top-ups and mails finds the wallet."""
    poor = Asker(make_rider("low@example.com", credits=30_000))
    wallet = Account.objects.filter(pk=poor.rider.wallet)
    wallet.update(low_mark=30_000)
    assert poor.post(*given).status_code == 402
    assert wallet.get().low_since is None, "it is at its mark, not under it"
    wallet.update(low_mark=30_001)
    assert poor.post(*given).status_code == 402
    first = wallet.get().low_since
    assert first is not None
    assert poor.post(*given).status_code == 402
    assert (wallet.get().low_since, wallet.get().held) == (first, 0)


def test_a_keys_cap_makes_nothing_low(configured: Any, rider: Rider) -> None:
    Account.objects.filter(pk=rider.wallet).update(low_mark=rider.funded + 1)
    issued = accounts.issue_key(user=rider.user, name="capped", monthly_cap=1)
    capped = Asker(Rider(rider.user, rider.wallet, issued.secret, rider.funded))
    assert capped.post("completion", chat()).status_code == 402
    assert Account.objects.get(pk=rider.wallet).low_since is None


def test_a_frozen_wallet(asker: Asker) -> None:
    granted = verbs.grant(
        account=asker.rider.wallet, amount=CREDIT, kind="purchase", key="disputed"
    )
    verbs.spend(account=asker.rider.wallet, amount=asker.rider.funded + CREDIT, key="all of it")
    verbs.revoke(grant=granted.grant, amount=CREDIT, key="dispute")
    answer = asker.post("completion", chat())
    assert_refused(answer, 402, "insufficient_credits", None)


def test_a_key_without_the_scope(configured: Any, rider: Rider) -> None:
    issued = accounts.issue_key(user=rider.user, name="reads", scopes=["read"])
    reader = Asker(Rider(rider.user, rider.wallet, issued.secret, rider.funded))
    assert_refused(reader.post("completion", chat()), 403, "permission_denied", None)
    assert reader.get("/api/jobs").status_code == 403


def test_a_keys_monthly_cap_holds(configured: Any, rider: Rider) -> None:
    issued = accounts.issue_key(user=rider.user, name="capped", monthly_cap=2_000)
    capped = Asker(Rider(rider.user, rider.wallet, issued.secret, rider.funded))
    answer = capped.post("completion", chat(max_tokens=3_000))
    assert "monthly cap" in assert_refused(answer, 402, "insufficient_credits", None)


def test_so_many_jobs_at_once(asker: Asker, configured: Any) -> None:
    configured.JOBS_OPEN_MOST = 2
    first = asker.make("noop")
    asker.make("noop")
    answer = asker.post("noop")
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    asker.cancel(first["id"])
    asker.make("noop")


def test_anothers_job_is_not_there(asker: Asker, configured: Any) -> None:
    job = asker.make("noop")["id"]
    other = Asker(make_rider("other@example.com"))
    for path in (f"/api/jobs/{job}", f"/api/jobs/{job}/result"):
        assert other.get(path).status_code == 404
    assert other._client.delete(f"/api/jobs/{job}").status_code == 404
    assert asker.job(job)["state"] == "queued"
    assert other.get("/api/jobs").json()["results"] == []


def test_a_key_stands_for_one_job(asker: Asker) -> None:
    first = asker.make("completion", chat(), key="order-7")
    held = asker.rider.held
    again = asker.make("completion", chat(), key="order-7")
    assert again["id"] == first["id"]
    assert (asker.rider.held, Job.objects.count()) == (held, 1)
    other = asker.post("completion", chat("Goodbye"), key="order-7")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "key_reused")
    asker.cancel(first["id"])
    assert asker.rider.held == 0
    assert asker.make("completion", chat(), key="order-7")["state"] == "canceled"


def test_the_list_comes_in_pages(asker: Asker) -> None:
    made = [asker.make("noop")["id"] for _ in range(5)]
    page = asker.get("/api/jobs?limit=2").json()
    found = [job["id"] for job in page["results"]]
    while page["next"]:
        page = asker.get(page["next"].removeprefix("http://testserver")).json()
        found += [job["id"] for job in page["results"]]
    assert found == made[::-1]
    asker.cancel(made[0])
    queued = asker.get("/api/jobs?state=canceled").json()["results"]
    assert [job["id"] for job in queued] == made[:1]
    assert asker.get("/api/jobs?state=lost").status_code == 400
