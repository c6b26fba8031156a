"""Django's own checks must pass where there is no database yet: migrate runs them first."""

import os
import subprocess
import sys


def test_checks_need_no_database():
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
