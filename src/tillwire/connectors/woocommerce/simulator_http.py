"""The simulated shop's HTTP: a small server on a free port of this machine."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Request(NamedTuple):
    """What was asked."""

    method: str
    target: str
    """Path and query as sent."""
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def authorized(self, key: str, secret: str) -> bool:
        """Whether the request carries this key and secret (basic authentication)."""
        given = self.headers.get("authorization", "")
        return given == "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()


class Answer(NamedTuple):
    """What is answered."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


def serve(answer: Callable[[Request], Answer | None], now: Callable[[], datetime]) -> tuple[str, Callable[[], None]]:
    """Serve on a free port of the loopback; its URL, and what stops it. ``now`` gives the header Date; an answer of
    none closes the connection without one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            parts = urlsplit(self.path)
            length = int(self.headers.get("content-length") or 0)
            request = Request(
                self.command,
                self.path,
                parts.path,
                dict(parse_qsl(parts.query)),
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(length),
            )
            made = answer(request)
            if made is None:
                self.close_connection = True
                return
            self.send_response_only(made.status)
            headers = {"Content-Type": "application/json; charset=UTF-8", "Date": format_datetime(now(), usegmt=True)}
            for name, value in {**headers, **made.headers, "Content-Length": str(len(made.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(made.body)

        do_GET = do_POST = do_PUT = do_DELETE = _handle

        def log_message(self, format: str, *args: object) -> None:
            """Requests are kept by the shop."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return f"http://127.0.0.1:{server.server_address[1]}", stop
