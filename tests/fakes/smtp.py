"""A mail server on loopback that keeps what it is sent, for tests to read."""

from __future__ import annotations

import email
import email.policy
import re
import socketserver
import threading
import time
from email.message import EmailMessage
from types import TracebackType
from typing import Self

CODE = re.compile(r"\b[A-Z0-9]{3,4}-[A-Z0-9]{3,4}\b")


class FakeMail:
    """Takes mail for everybody between ``start`` and ``stop``; a context manager.

    As much of SMTP (RFC 5321) as a sender without encryption or log-in speaks.
    """

    def __init__(self) -> None:
        self._mails: list[EmailMessage] = []
        self._came = threading.Condition()
        self._server: socketserver.ThreadingTCPServer | None = None
        self._thread: threading.Thread | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """As ``EMAIL_URL`` takes it."""
        return f"smtp://127.0.0.1:{self.port}"

    def start(self) -> Self:
        fake = self

        class Session(socketserver.StreamRequestHandler):
            timeout = 30  # seconds

            def handle(self) -> None:
                _converse(self, fake)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join(10)
            self._server.server_close()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def take(self, raw: bytes) -> None:
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        with self._came:
            self._mails.append(mail)
            self._came.notify_all()

    # To ask it.

    def to(self, address: str) -> list[EmailMessage]:
        """What somebody got, oldest first."""
        with self._came:
            return [mail for mail in self._mails if address in str(mail["to"])]

    def clear(self) -> None:
        with self._came:
            self._mails.clear()

    def wait_for(self, address: str, *, number: int = 1, seconds: float = 30) -> EmailMessage:
        """The ``number``-th mail to somebody, counted from 1, once it has come."""
        deadline = time.monotonic() + seconds
        with self._came:
            while True:
                found = [mail for mail in self._mails if address in str(mail["to"])]
                if len(found) >= number:
                    return found[number - 1]
                left = deadline - time.monotonic()
                if left <= 0 or not self._came.wait(left):
                    subjects = [str(mail["subject"]) for mail in found]
                    raise TimeoutError(f"mail {number} to {address} did not come: {subjects}")

    def code_for(self, address: str, *, number: int = 1, seconds: float = 30) -> str:
        """The code in that mail."""
        text = text_of(self.wait_for(address, number=number, seconds=seconds))
        found = CODE.search(text)
        assert found, f"no code in: {text}"
        return found[0]


def text_of(mail: EmailMessage) -> str:
    """A mail's plain text."""
    part = mail.get_body(("plain",))
    assert part is not None, "the mail has no text"
    return str(part.get_content()).replace("\r\n", "\n")


def _converse(session: socketserver.StreamRequestHandler, fake: FakeMail) -> None:
    def say(line: str) -> None:
        session.wfile.write(f"{line}\r\n".encode())

    say("220 fake ESMTP")
    while line := session.rfile.readline(4096):
        match line.split()[0].upper() if line.split() else b"":
            case b"EHLO" | b"HELO":
                say("250 fake")
            case b"MAIL" | b"RCPT" | b"RSET" | b"NOOP":
                say("250 OK")
            case b"DATA":
                say("354 Go ahead")
                fake.take(_data(session))
                say("250 Taken")
            case b"QUIT":
                say("221 Bye")
                return
            case _:
                say("502 Not implemented")


def _data(session: socketserver.StreamRequestHandler) -> bytes:
    """Up to the line with a dot alone; a dot that begins a line was doubled (section 4.5.2)."""
    lines = []
    while (line := session.rfile.readline()) not in {b".\r\n", b""}:
        lines.append(line[1:] if line.startswith(b".") else line)
    return b"".join(lines)
