"""TCP ports on the loopback for the servers we start."""

from __future__ import annotations

import socket
import sys

LOOPBACK = "127.0.0.1"


class ReservedPort:
    """A free port of 127.0.0.1 that stays ours while one of our servers starts, dies and starts again on it.

    On Linux a bound socket that does not listen keeps the kernel from handing the port to anybody who asks for a free
    one, while a server that sets SO_REUSEADDR (nearly all do) can still listen on it. Elsewhere the port is only found.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind((LOOPBACK, 0))
        self.number: int = self._socket.getsockname()[1]
        # Only after bind: a socket that was bound with it could be given the same port as another such socket.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform != "linux":
            self.release()

    def release(self) -> None:
        """Let others have the port; harmless to repeat."""
        self._socket.close()
