"""The whole of Farebox for a browser: web and worker as processes, with a Valkey of their own."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import redis

from devtools.embedded import Valkey
from devtools.processes import leashed
from tests.fakes.identity import FakeGitHub, FakeGoogle
from tests.fakes.providers import FakeProviders
from tests.fakes.smtp import FakeMail
from tests.proxy.server import Farebox, server_environment, wait_for
from tests.zygote import Launched, launch

# By the "key" of extension/manifest.json, and by another key that no deployment lists.
EXTENSION = "fgglonjgleagdhllkjjhmejchmakejck"
FOREIGN_EXTENSION = "aicioibkfbndpcngalpgeiccefedgdam"
FOREIGN_KEY = (
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu3ipO0kU/5IGIG/EOu4/0Uh1UZkijknqJAhB/lEazg6rCdSi"
    "zyozBooVhnHl1R8XhcRww5v4yNEzMwnFtq2E//Z5y2B+R8xD+yq9hb7oLDUmi72pXWVPrAZWXtgUBJ6oRmkDrkWT31FX"
    "HUCTvZJ4MSjpMNj6sLeE5cHMYQrNo351Y+3IZ5+dl6+lHoZFz2DS1q9NaG20/5CiAdOr8Oy6fZFVrj7ieejaaX/uXojl"
    "J8DT1Q0kKkNv7JsXf9cQfznhrpPPflALG7LUTfvFizEvD7iMT+YYm1oEl8KGXlgl6lyIZcx2k3XOd3j958aDFAnLzzBH"
    "p0rPDrGy9opHFy2EKwIDAQAB"
)


class OwnValkey:
    """Apart from the other tests', since addresses of callers and users' ids are counted in it."""

    def __init__(self, home: Path) -> None:
        if home.stat().st_uid == 0:
            home.chmod(0o711)  # the server's user passes through
        self._valkey = Valkey(home, lambda _words: None)
        service = self._valkey.prepare()
        self._log = (home / "valkey.log").open("ab")
        self._process = subprocess.Popen(
            leashed(service.argv, service.stop_signal, service.user),
            env=dict(service.env),
            cwd=service.cwd,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        wait_for(self._valkey.is_ready, 30, "Valkey answers")
        self.url = self._valkey.url

    def forget(self) -> None:
        """Drop what is cached and counted; what the worker's queue rests on stays."""
        with redis.Redis.from_url(self.url) as client:
            kept = (b"_kombu", b"celery", b"unacked")
            gone = [key for key in client.scan_iter(count=1000) if not key.startswith(kept)]
            if gone:
                client.delete(*gone)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


class Site(Farebox):
    """The web process. Browsers know it as localhost: passkeys need a name."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        super().__init__(environment, log)
        self.url = f"http://localhost:{self.port}"
        self._environment |= {"PUBLIC_URL": self.url, "PORT": str(self.port)}
        self._worker: Launched | None = None

    def start(self) -> "Site":
        """Returns once web and worker are ready."""
        self._worker = launch(
            "celery", "-A", "config", "worker", "--pool", "solo", "--without-mingle",
            "--without-gossip", "--without-heartbeat", "--loglevel", "INFO",
            env=self._environment, log=self._log.with_name("worker.log"),
        )  # fmt: skip
        super().start()
        return self

    def stop(self) -> None:
        super().stop()
        if self._worker is not None:
            self._worker.terminate()
            self._worker.wait(30)

    @property
    def environment(self) -> dict[str, str]:
        """What its processes were started with."""
        return dict(self._environment)

    @property
    def worker_log(self) -> str:
        return self._log.with_name("worker.log").read_text(errors="replace")


def site_environment(
    database_url: str, valkey: OwnValkey, mail: FakeMail, google: FakeGoogle, github: FakeGitHub
) -> dict[str, str]:
    """Production settings; no AI provider, so that the built-in model answers."""
    provider = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
    no_provider = dict.fromkeys(provider, "")
    unhurried = {"CLIENT_BODY_SECONDS": "30", "CLIENT_STALL_SECONDS": "30"}
    return server_environment(
        FakeProviders(),
        database_url,
        **no_provider,
        **unhurried,
        DJANGO_SETTINGS_MODULE="tests.browser.settings",
        ALLOWED_HOSTS="localhost,127.0.0.1",
        REDIS_URL=valkey.url,
        EMAIL_URL=mail.url,
        EXTENSION_IDS=EXTENSION,
        ACCESS_TOKEN_SECONDS="900",
        GOOGLE_URL=google.url,
        GOOGLE_CLIENT_ID=google.client_id,
        GOOGLE_CLIENT_SECRET=google.client_secret,
        GITHUB_URL=github.url,
        GITHUB_CLIENT_ID=github.client_id,
        GITHUB_CLIENT_SECRET=github.client_secret,
    )
