"""/dashboard/history/: the wallet's transfers in words, a page at a time."""

import re

import pytest

from ledger import verbs
from tests.usage.calls import begin, finish

pytestmark = pytest.mark.django_db

PAGE = "/dashboard/history/"


def rows(html):
    return re.findall(r'<th scope="row">(.*?)</th>\s*<td>(.*?)</td>', html)


def test_each_in_words(client, user, wallet, fund):
    client.force_login(user)
    assert "Nothing yet" in client.get(PAGE).content.decode()
    fund(wallet, 5_000_000)
    finish(begin(user, held=2_000_000), charge=1_500_000)
    spent = verbs.spend(account=wallet, amount=250_000, key="spend").transfer
    verbs.refund(transfer=spent, amount=100_000, key="back")
    assert rows(client.get(PAGE).content.decode()) == [
        ("Given back", "0.1"),
        ("Spent", "-0.25"),
        ("An AI call", "-1.5"),
        ("Bought", "5"),
    ]


def test_pages(client, user, wallet, fund):
    client.force_login(user)
    for n in range(1, 52):
        fund(wallet, n * 1_000_000)
    first = client.get(PAGE).content.decode()
    assert [amount for _, amount in rows(first)] == [str(n) for n in range(51, 1, -1)]
    (older,) = re.findall(r'href="(\?before=[^"]+)"', first)
    second = client.get(PAGE + older).content.decode()
    assert rows(second) == [("Bought", "1")]
    assert "Newest" in second
    bad = client.get(f"{PAGE}?before=x")
    assert (bad.status_code, bad["location"]) == (302, PAGE)


def test_only_for_who_is_signed_in(client):
    assert client.get(PAGE).status_code == 302
