"""``/api/backup`` on the real server: what is too large is refused before it was sent whole."""

import socket

from accounts import verbs
from accounts.backups import MOST_BYTES
from accounts.models import Backup
from tests.accounts import people

HEAD = "PUT /api/backup HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n"


def test_declared_and_chunked(farebox):
    verbs.create_user(email="ada@example.com", password=people.PASSWORD)
    token = people.session_token("ada@example.com")
    head = f"{HEAD}X-Session-Token: {token}\r\n"

    def ask(rest, *pieces):
        with socket.create_connection(("127.0.0.1", farebox.port), timeout=20) as conn:
            conn.sendall(f"{head}{rest}\r\n\r\n".encode())
            try:
                for piece in pieces:
                    conn.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
            except ConnectionError:
                pass  # it was refused meanwhile, and closed
            return conn.recv(4096).decode()

    assert " 413 " in ask(f"Content-Length: {MOST_BYTES + 1}")  # not a byte of it was sent
    assert " 413 " in ask("Transfer-Encoding: chunked", *[bytes(65536)] * 5)
    assert not Backup.objects.exists()
    assert " 201 " in ask("Transfer-Encoding: chunked", b"settings", b"")
    assert bytes(Backup.objects.get().blob) == b"settings"
