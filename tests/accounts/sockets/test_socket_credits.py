"""What a service key's back end moves is heard at once, as a paid call is."""

import httpx

from accounts import services
from tests.accounts.sockets.client import key_headers, open_told


def test_each_verb_of_a_service_is_heard(farebox, rider):
    headers = key_headers(services.issue(name="shop").secret)

    def ask(verb, **body):
        key = {"idempotency-key": verb}
        address = f"{farebox.url}/api/credits/{verb}"
        answer = httpx.post(address, headers=headers | key, json=body).raise_for_status().json()
        assert socket.until("balance", 30, balance=answer["balance"])
        return answer

    about = {"account": rider.user.email, "amount": "5", "reason": "a film"}
    with open_told(farebox, key_headers(rider.secret)) as socket:
        ask("spend", **about)
        hold = ask("hold", **about)["hold"]
        taken = ask("capture", hold=hold, amount="2")["transfer"]
        ask("refund", transfer=taken, amount="1")
