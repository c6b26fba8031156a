"""GET /api/calls/<id>: one receipt, from the moment the call is held."""

import uuid

import pytest

from tests.usage.calls import begin, finish, written

pytestmark = pytest.mark.django_db


def test_open_and_then_ended(api, user, wallet, fund):
    fund(wallet, 1_000_000)
    call = begin(user, held=30_000)
    receipt = api.get(f"/api/calls/{call}").json()
    started = receipt.pop("started")
    assert receipt == {
        "id": str(call),
        "model": "demo",
        "provider": "demo",
        "status": "open",
        "held": "0.030000",
        "spent": "0.000000",
        "returned": "0.000000",
        "estimated": False,
        "input_tokens": 0,
        "cached_tokens": 0,
        "output_tokens": 0,
        "reasoning_tokens": 0,
        "finished": None,
    }
    finish(call, charge=12_345)
    receipt = api.get(f"/api/calls/{call}").json()
    assert receipt["finished"] > started == receipt["started"]
    assert (receipt["status"], receipt["spent"], receipt["returned"]) == (
        "completed",
        "0.012345",
        "0.017655",
    )
    assert receipt == api.get("/api/calls").json()["results"][0]


def test_somebody_elses_is_not_there(api, stranger_api, user, wallet, fund):
    fund(wallet, 1_000_000)
    ended, running = finish(begin(user)), begin(user)
    for call in (ended, running):
        assert api.get(f"/api/calls/{call}").status_code == 200
        response = stranger_api.get(f"/api/calls/{call}")
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "not_found"


def test_nobodys_call_is_nobodys(api):
    assert api.get(f"/api/calls/{written(None).id}").status_code == 404


@pytest.mark.parametrize("call", [uuid.UUID(int=0), uuid.uuid4(), "nonsense", "1", "%00"])
def test_no_such_call(api, call):
    response = api.get(f"/api/calls/{call}")
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "not_found"


def test_a_hold_that_is_no_call_is_no_receipt(api, wallet, fund):
    from datetime import timedelta

    from ledger import verbs

    fund(wallet, 1_000)
    held = verbs.hold(
        account=wallet, amount=10, kind="api", key="k", lease=timedelta(seconds=5)
    ).hold
    assert api.get(f"/api/calls/{held}").status_code == 404
