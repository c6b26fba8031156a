"""What bin/dev prints when everything runs."""

import pytest

from devtools.dev import announce
from devtools.prepare import Demo

DEMO = Demo("demo@farebox.test", "secret", "fb_key", "demo")


@pytest.mark.parametrize(("debug", "page"), [(True, "admin"), (False, "dashboard")])
def test_the_login_goes_with_a_page_that_lets_it_in(capsys, debug, page):
    announce("8000", DEMO, debug=debug)
    line = f"Demo login: {DEMO.email}  password: secret  (http://127.0.0.1:8000/{page}/)\n"
    assert line in capsys.readouterr().out
