"""The pages that everybody may see."""

import re

import pytest

pytestmark = pytest.mark.django_db


def test_the_front_page_says_how_to_call(client, settings):
    settings.PUBLIC_URL = "https://farebox.example"
    html = client.get("/").content.decode()
    assert "https://farebox.example/v1/chat/completions" in html
    for link in ("/api/docs", "/admin/", "/api/plans"):
        assert f'href="{link}"' in html


def test_it_is_honest_about_the_demo(client, settings):
    settings.ENABLE_PAYMENTS = False
    settings.OPENAI_API_KEY = settings.ANTHROPIC_API_KEY = ""
    assert "Demo mode" in client.get("/").content.decode()
    assert '"model": "demo"' in client.get("/").content.decode()
    settings.ENABLE_PAYMENTS = True
    settings.OPENAI_API_KEY = "sk-something"
    html = client.get("/").content.decode()
    assert "Demo mode" not in html
    assert '"model": "demo"' not in html
    assert "sk-something" not in html


@pytest.mark.parametrize("path", ["/", "/no-such-page"])
def test_nothing_inline_and_no_other_host(client, settings, path):
    settings.DEBUG = False
    html = client.get(path).content.decode()
    assert "<script" not in html
    assert "<style" not in html
    assert not re.search(r'\s(style|on\w+)="', html)
    assert not re.search(r'(src|href)="(https?:)?//', html)
    assert 'lang="en"' in html
    assert html.count("<h1") == 1


def test_only_reading(client):
    assert client.post("/").status_code == 405
