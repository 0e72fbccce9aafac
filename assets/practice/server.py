"""The practice Stripe as a server on this machine: 127.0.0.1 and nothing else, one thread for each connection."""

from __future__ import annotations

import socket
import socketserver
import struct
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from assets.practice.answers import Answer, written
from assets.practice.api import Api
from assets.practice.control import Control

_LOOPBACK = "127.0.0.1"
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST


class Server(socketserver.ThreadingTCPServer):
    """Not http.server's own: that one asks a name server for the name of this machine."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # connections are kept alive: stop() ends them first
    request_queue_size = 128

    def __init__(self, api: Api, control: Control, port: int) -> None:
        self.api, self.control = api, control
        self._open: set[socket.socket] = set()
        self._running: set[threading.Thread] = set()
        self._lock = threading.Lock()
        super().__init__((_LOOPBACK, port), _Handler)
        self._serving = threading.Thread(target=self.serve_forever, args=(0.02,), name="practice Stripe", daemon=True)
        self._serving.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def stop(self) -> None:
        """Close everything, also what hangs; no thread of ours is left."""
        self.api.stopping.set()
        self.shutdown()
        self.server_close()
        with self._lock:
            threads = list(self._running)
            for connection in self._open:
                _shut(connection)
        for thread in [*threads, self._serving]:
            thread.join(10)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
            self._running.add(threading.current_thread())
        try:
            if self.api.stopping.is_set():
                self.shutdown_request(request)
            else:
                super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open.discard(request)
                self._running.discard(threading.current_thread())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else is a bug of ours, and told."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # closed already
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "nginx"
    server: Server
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or self.headers.get("Transfer-Encoding"):
            self._send(Answer(411, written({"error": {"message": "Send a Content-Length."}})), keep=False)
            return
        body = self.rfile.read(int(length))
        if len(body) < int(length):  # whoever sent it died over it
            self.close_connection = True
            return
        if not self._is_ours():
            self._send(
                Answer(403, written({"error": {"message": "This Stripe answers this machine only."}})), keep=False
            )
            return
        asked = self.server.api.answer if parts.path.startswith(("/v1", "/v2")) else self.server.control.answer
        answer = asked(self.command, parts.path, parts.query, body.decode("utf-8", "replace"), self.headers)  # type: ignore[arg-type]
        if answer.how == "sent":
            self._send(answer)
            return
        self.close_connection = True
        if answer.how == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.connection.close()

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 (the names that http.server calls)

    def _is_ours(self) -> bool:
        """No page that a browser has open elsewhere may reach us, by a name of its own or across origins."""
        port = self.server.port
        ours = {f"{_LOOPBACK}:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")
        return self.headers.get("Host") in ours and (origin is None or origin.removeprefix("http://") in ours)

    def _send(self, answer: Answer, keep: bool = True) -> None:
        """Head and body in one write: in two, a client's delayed acknowledgement would cost 40 ms."""
        body = answer.body.encode()
        headers = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(body))}
        if not keep:
            headers["Connection"] = "close"
            self.close_connection = True
        reason = self.responses.get(answer.status, ("",))[0]
        head = [f"HTTP/1.1 {answer.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
        self.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1", "replace") + body)

    def log_message(self, format: str, *args: Any) -> None:
        """The log of calls is kept elsewhere, and without keys."""
