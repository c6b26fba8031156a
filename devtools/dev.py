"""bin/dev: everything from a fresh clone to a running Farebox, until Ctrl-C.

Brings up servers, database, demo data, then web, worker and beat; prints the ready line, a login,
a key and a curl line; keeps it all running; stops all of it on SIGINT, SIGTERM or SIGHUP and then
exits 0. Exits 1 with a sentence when it can't start, or when a program keeps dying.

With ``STRIPE_FAKE=true`` payments are on, and go to the project's own fake Stripe, which is
started beside the servers.
"""

import http.client
import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from devtools import fake_stripe
from devtools.embedded import EmbeddedError, free_port
from devtools.environment import SHARED, BadValue, flag, given, project_environment, whole
from devtools.home import Busy, Home
from devtools.leftovers import Register
from devtools.prepare import (
    CannotStart,
    Demo,
    Preparation,
    check_own_servers,
    make_static_folder,
)
from devtools.processes import ROOT, TICK
from devtools.say import note, say
from devtools.servers import SERVERS, start_servers
from devtools.signals import Stopped, StopSignals
from devtools.supervise import GaveUp, Service, Supervisor
from devtools.watch import Watcher

PROGRAMS = ["web", "worker", "beat"]  # in the order of their end
READY_SECONDS = 120
RELOAD_SECONDS = 3  # what open streams get when a source file changed


def main() -> int:
    signals = StopSignals()
    signals.install()
    try:
        with owned_home(signals) as home:
            run(home, signals)
    except Stopped:
        note("stopped")
    except Busy as busy:
        note(f"{busy} is using this FAREBOX_HOME; stop it, or choose another (and another PORT)")
        return 1
    except (BadValue, CannotStart, EmbeddedError, GaveUp, OSError) as error:
        note(str(error))
        return 1
    return 0


@contextmanager
def owned_home(signals: StopSignals) -> Iterator[Home]:
    """Own FAREBOX_HOME. A ``bin/manage`` that is using it is waited for; a ``bin/dev`` is not."""
    home = Home.locate(os.environ)
    waiting = False
    while True:
        try:
            with home.owned("dev"):
                yield home
                return
        except Busy as busy:
            if busy.role == "dev":
                raise
            if not waiting:
                note(f"waiting for {busy} to finish")
                waiting = True
        signals.check()
        time.sleep(TICK)


def run(home: Home, signals: StopSignals) -> None:
    """Start everything and keep it running; return only by an exception, with nothing left."""
    register = Register(home.path / "children.json")
    register.stop_leftovers(note)
    env = project_environment(os.environ, home)
    env["PORT"] = str(choose_port(env))
    workers = whole(env, "WEB_CONCURRENCY", 1, 1, 64)
    if not given(env, "PROMETHEUS_MULTIPROC_DIR"):
        env["PROMETHEUS_MULTIPROC_DIR"] = str(home.metrics_folder())
    supervisor = Supervisor(say, signals, register)
    try:
        make_static_folder()
        check_own_servers()
        env |= start_servers(env, home.path, supervisor, note)[0]
        preparation = Preparation(env, home.path, supervisor.poll)
        if not preparation.is_done():
            preparation.run()
        home.publish({name: env[name] for name in SHARED if name in env})
        web, *others = programs(env, home, workers)
        supervisor.start(web)
        demo = preparation.seed()  # meanwhile the web process loads
        if fake_stripe.wanted(env):
            preparation.sync_plans()
        supervisor.wait(lambda: is_ready(env), READY_SECONDS, "the web process")
        for service in others:  # last, because they would slow the first page down
            supervisor.start(service)
        stripe = env["STRIPE_API_HOST"] if fake_stripe.wanted(env) else ""
        announce(env["PORT"], demo, debug=flag(env, "DEBUG", True), stripe=stripe)
        keep_running(supervisor, watching=flag(env, "DEBUG", True))
    except Stopped:
        note("stopping (Ctrl-C once more: without waiting for open streams)")
        raise
    finally:
        supervisor.stop(PROGRAMS, *SERVERS)


def choose_port(env: Mapping[str, str]) -> int:
    """PORT when it is free, any free one for 0. Raises ``CannotStart`` when it is taken."""
    port = whole(env, "PORT", 8000, 0, 65535)
    if port == 0:
        return free_port()
    with socket.socket() as probe:
        # As the web server will: a port whose connections only linger counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            other = port + 1 if port < 65535 else 8000
            raise CannotStart(
                f"port {port}: {error.strerror}; choose another, such as PORT={other} bin/dev"
            ) from None
    return port


def programs(env: Mapping[str, str], home: Home, workers: int) -> list[Service]:
    """Web, worker and beat, as a deployment runs them (see Procfile), but less talkative."""
    web = ["-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1", "--port", env["PORT"]]
    web += ["--loop", "uvloop", "--http", "config.http:HttpProtocol", "--workers", str(workers)]
    web += ["--ws", "config.sockets:WebSocketProtocol", "--ws-max-size", "1024"]
    web += ["--ws-ping-interval", "20", "--ws-ping-timeout", "20"]
    web += ["--ws-per-message-deflate", "false"]
    # Forwarded headers are for accounts.limits alone to weigh; uvicorn would believe any of them
    # that comes from loopback.
    web += ["--no-proxy-headers"]
    web += ["--no-access-log", "--log-level", "warning"]
    # The warning is that root should not run a worker; on one's own machine it is noise.
    celery = ["-W", "ignore::UserWarning:celery.platforms", "-m", "celery", "-A", "config", "-q"]
    worker = [*celery, "worker", "--concurrency", "2", "--without-mingle", "--without-gossip"]
    beat = [*celery, "beat", "--schedule", str(home.path / "beat-schedule")]
    # Otherwise each of beat's ticks is three lines.
    calm = {**env, "LOG_LEVEL": given(env, "LOG_LEVEL") or "WARNING"}
    return [
        Service(
            "web",
            [sys.executable, *web],
            env,
            home.logs / "web.log",
            stop_seconds=shutdown_seconds(env),
        ),
        Service("worker", [sys.executable, *worker], calm, home.logs / "worker.log"),
        Service("beat", [sys.executable, *beat], calm, home.logs / "beat.log"),
    ]


def shutdown_seconds(env: Mapping[str, str]) -> float:
    """What a web process may take to end (``config.shutdown``), and a little more."""
    delay = whole(env, "SHUTDOWN_DELAY_SECONDS", 0, 0, 300)
    return delay + whole(env, "SHUTDOWN_SECONDS", 20, 0, 3600) + 15


def is_ready(env: Mapping[str, str]) -> bool:
    """Ask ``GET /readyz``, as one of the hosts that the settings allow."""
    hosts = given(env, "ALLOWED_HOSTS").split(",")
    host = "127.0.0.1" if {"", "*", "127.0.0.1"} & set(hosts) else hosts[0].strip(" .")
    connection = http.client.HTTPConnection("127.0.0.1", int(env["PORT"]), timeout=5)
    try:
        connection.request("GET", "/readyz", headers={"Host": host})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def announce(port: str, demo: Demo | None, *, debug: bool, stripe: str = "") -> None:
    """The ready line, and all that a newcomer needs to see a call being billed.

    The demo user is staff with DEBUG alone. ``stripe`` is the fake's address.
    """
    address = f"http://127.0.0.1:{port}"
    say(f"Farebox is ready: {address}")
    if stripe:
        say(fake_stripe.announcement(stripe))
    if demo is None:
        return
    message = {"role": "user", "content": "Hello"}
    body = json.dumps(
        {"model": demo.model, "stream": True, "messages": [message]}, separators=(",", ":")
    )
    say("")
    page = "admin" if debug else "dashboard"
    say(f"Demo login: {demo.email}  password: {demo.password}  ({address}/{page}/)")
    say(f"Demo key:   {demo.api_key}")
    say("Try it:")
    say(
        f'curl -N {address}/v1/chat/completions -H "Authorization: Bearer {demo.api_key}" '
        f"-H \"Content-Type: application/json\" -d '{body}'"
    )
    say("")


def keep_running(supervisor: Supervisor, watching: bool) -> None:
    """Restart what dies, and everything when a source file changed; until an exception."""
    watcher = Watcher(ROOT, note) if watching else None
    try:
        while True:
            supervisor.poll()
            if watcher and (name := watcher.changed()):
                note(f"{name} changed; starting again")
                supervisor.restart(PROGRAMS, RELOAD_SECONDS)
            time.sleep(TICK)
    finally:
        if watcher:
            watcher.close()


if __name__ == "__main__":
    sys.exit(main())
