"""Telling systemd how the process fares, where it asks to be told (``Type=notify``).

The protocol is one datagram (sd_notify(3)): lines such as ``READY=1`` to the socket that
``NOTIFY_SOCKET`` names.
"""

import os
import socket

import structlog

log = structlog.get_logger(__name__)


def notify(state: str) -> None:
    """Send ``state``. Never raises; does nothing where nobody asked."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address[0] == "@":  # one of Linux's abstract addresses
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(address)
            sender.sendall(state.encode())
    except OSError as error:
        log.warning("the service manager was not told", state=state, error=type(error).__name__)
