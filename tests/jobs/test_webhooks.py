"""A job's owner is told of its end: signed, again when it fails, and never on private networks."""

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from django.utils import timezone

from common.errors import BadInput
from jobs.models import Delivery, Job
from jobs.telling import addresses, signing
from jobs.telling.addresses import Refused
from jobs.telling.sending import PAUSES
from tests.fakes.providers import FakeProviders
from tests.jobs.asking import Asker, chat
from tests.jobs.receiver import Receiver
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for


@pytest.fixture
def asker(configured, rider: Rider) -> Asker:
    configured.JOB_WEBHOOK_NETWORKS = [ip_network("127.0.0.0/8")]
    return Asker(rider)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def soon() -> None:
    """What was put off is due now."""
    Delivery.objects.update(next_at=timezone.now())


def test_it_comes_signed_as_the_standard_says(
    hire, fake: FakeProviders, asker: Asker, receiver: Receiver
) -> None:
    began = int(time.time())
    job = asker.done(hire(), "completion", chat(), webhook=receiver.url)
    ((headers, body),) = receiver.wait(1)
    told = json.loads(body)
    assert (told["type"], told["data"]["id"]) == ("job.done", job["id"])
    assert (told["data"]["spent"], told["data"]["state"]) == (job["spent"], "done")
    assert "result" not in told["data"]
    assert began <= int(headers["webhook-timestamp"]) <= time.time()
    assert headers["webhook-id"].startswith("msg_")
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"

    # As the standard's own libraries verify it.
    secret = signing.secret_of(asker.rider.user)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert len(key) >= 24
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    wait_for(lambda: Delivery.objects.get().state == "delivered", 10, "it is noted")
    assert len(receiver.heard) == 1


def test_it_is_sent_again_under_the_same_id_until_it_is_taken(
    hire, asker: Asker, receiver: Receiver
) -> None:
    receiver.answer = lambda number: (500, "") if number < 2 else (200, "")
    hand = hire()
    asker.done(hand, "noop", webhook=receiver.url)
    for attempt in (1, 2):
        receiver.wait(attempt)
        wait_for(lambda: Delivery.objects.get().problem == "it answered 500", 10, "it is noted")
        later = Delivery.objects.get()
        pause = PAUSES[attempt - 1]
        assert later.next_at - timezone.now() > timedelta(seconds=pause - 5)
        Delivery.objects.update(problem="")
        soon()
        hand.wake()
    receiver.wait(3)
    wait_for(lambda: Delivery.objects.get().state == "delivered", 10, "it is noted")
    assert len({headers["webhook-id"] for headers, _ in receiver.heard}) == 1
    assert len({body for _, body in receiver.heard}) == 1


def test_it_is_given_up_after_a_day(hire, asker: Asker, receiver: Receiver) -> None:
    assert sum(PAUSES) > 24 * 3600
    receiver.answer = lambda _number: (503, "")
    hand = hire()
    asker.done(hand, "noop", webhook=receiver.url)
    receiver.wait(1)
    wait_for(lambda: Delivery.objects.get().problem != "", 10, "it is noted")
    Delivery.objects.update(attempts=len(PAUSES))
    soon()
    hand.wake()
    wait_for(lambda: Delivery.objects.get().state == "failed", 10, "it is given up")
    assert len(receiver.heard) == 2


@pytest.mark.parametrize(
    ("answer", "state", "problem"),
    [
        ((302, "http://127.0.0.1:1/"), "pending", "it answered 302"),
        ((410, ""), "failed", "it answered 410"),
    ],
    ids=["a redirect is not followed", "gone"],
)
def test_other_answers(hire, asker: Asker, receiver: Receiver, answer, state, problem) -> None:
    if answer[1]:
        answer = (302, f"http://127.0.0.1:{receiver.port}/elsewhere")
    receiver.answer = lambda _number: answer
    asker.done(hire(), "noop", webhook=receiver.url)
    receiver.wait(1)
    wait_for(lambda: Delivery.objects.get().problem == problem, 10, "it is noted")
    assert Delivery.objects.get().state == state
    assert len(receiver.heard) == 1


def test_one_that_never_answers_keeps_nobody(hire, asker: Asker, receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hand = hire()
        port = silent.getsockname()[1]
        asker.done(hand, "noop", webhook=f"http://127.0.0.1:{port}/")
        job = asker.done(hand, "completion", chat())
        assert job["state"] == "done"


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "0.0.0.0", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1",
    "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2002:a00:1::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "::127.0.0.1",
]  # fmt: skip
PUBLIC = ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    assert not addresses.is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    assert addresses.is_public(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://localhost/", "https://2130706433/", "https://0x7f.1/",
        "https://127.1/", "https://[::1]/", "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:10.0.0.1]/", "http://example.com/", "ftp://example.com/",
        "https://me:pw@example.com/", "https://example.com/#here", "https:///nowhere",
        "https://example.com\\@127.0.0.1/", "https://example.com:0/", "https://exämple.com/",
        "file:///etc/passwd", "https://example.com/" + "x" * 500, "https://[::1", "hello",
    ],
)  # fmt: skip
def test_refused_when_it_is_asked_for(
    asker: Asker, configured: Any, fake: FakeProviders, url: str
) -> None:
    configured.JOB_WEBHOOK_NETWORKS = []
    answer = asker.post("completion", chat(), webhook=url)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "webhook"), error
    assert not Job.objects.exists()
    asker.rider.assert_untouched()


def found(*found: str) -> list[Any]:
    """What a look-up answers."""
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in found]


def test_a_name_is_judged_by_every_address_it_has(settings) -> None:
    settings.JOB_WEBHOOK_NETWORKS = []
    target = addresses.read("https://example.com/")
    assert addresses.check(found("1.1.1.1"), target) == "1.1.1.1"
    for looked_up in (found("1.1.1.1", "127.0.0.1"), found("10.0.0.1", "1.1.1.1"), []):
        with pytest.raises(Refused):
            addresses.check(looked_up, target)


def test_it_is_judged_again_when_it_is_sent(
    hire, asker: Asker, configured: Any, receiver: Receiver
) -> None:
    """The name may mean another address by then: nothing is asked."""
    made = asker.make("noop", webhook=receiver.url)
    configured.JOB_WEBHOOK_NETWORKS = []
    hire().wake()
    asker.ended(made["id"])
    wait_for(lambda: Delivery.objects.get().state == "failed", 10, "it is given up")
    assert receiver.heard == []


def test_opened_networks_are_those_and_no_others(settings) -> None:
    settings.JOB_WEBHOOK_NETWORKS = [ip_network("10.1.0.0/16")]
    target = addresses.read("http://hooks.internal/")
    assert addresses.check(found("10.1.2.3"), target) == "10.1.2.3"
    for address in ("10.2.0.1", "1.1.1.1"):  # private; public, and by http
        with pytest.raises(Refused):
            addresses.check(found(address), target)
    with pytest.raises(BadInput):
        addresses.expect_allowed("https://192.168.0.1/")


def test_the_secret_is_shown_to_people_only(asker: Asker, client) -> None:
    assert asker.get("/api/jobs/webhook-secret").status_code == 403
    client.force_login(asker.rider.user)
    secret = client.get("/api/jobs/webhook-secret").json()["secret"]
    assert secret.startswith("whsec_")
    assert client.get("/api/jobs/webhook-secret").json()["secret"] == secret
    renewed = client.post("/api/jobs/webhook-secret").json()["secret"]
    assert renewed != secret
    assert signing.secret_of(asker.rider.user) == renewed
