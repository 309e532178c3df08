# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy in front of a search engine that does what proxies and networks do at the wrong moment."""

from __future__ import annotations

import dataclasses
import http.client
import http.server
import re
import socket
import ssl
import threading
import time
import typing as t


@dataclasses.dataclass
class Fault:
    """What happens to the next calls that match.

    :param action: ``cut`` (close the connection), ``delay`` (answer late), ``truncate`` (half an answer) or a
        status that is answered instead
    :param forward: whether the engine gets the call all the same
    :param after: only once such a call has passed
    """

    pattern: str
    action: str | int
    forward: bool = True
    times: int = 1
    seconds: float = 0.0
    after: str = ""

    def takes(self, line: str, before: t.Sequence[str]) -> bool:
        if self.times <= 0 or not re.search(self.pattern, line):
            return False
        if self.after and not any(re.search(self.after, each) for each in before):
            return False
        self.times -= 1
        return True


class Proxy:
    """Use as a context manager; :attr:`url` is its address, :attr:`log` what passed, as ``METHOD /path``."""

    def __init__(
        self,
        upstream: str,
        faults: t.Sequence[Fault] = (),
        *,
        certificate: tuple[str, str] | None = None,
        authorization: str | None = None,
    ) -> None:
        self.upstream = upstream
        self.faults = list(faults)
        self.log: list[str] = []
        self.authorization = authorization
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                proxy.serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

            def log_message(self, format: str, *args: t.Any) -> None:
                """Nothing on stderr."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """One call."""
        line = f"{handler.command} {handler.path}"
        self.log.append(line)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        if self.authorization and handler.headers.get("Authorization") != self.authorization:
            self._send(handler, 401, b"<html>login</html>", "text/html")
            return
        fault = next((each for each in self.faults if each.takes(line, self.log[:-1])), None)
        if fault is None:
            self._send(handler, *self._forward(handler, body))
            return
        status, answer, kind = self._forward(handler, body) if fault.forward else (200, b"{}", "application/json")
        if fault.action == "delay":
            time.sleep(fault.seconds)
            self._send(handler, status, answer, kind)
        elif isinstance(fault.action, int):
            self._send(handler, fault.action, b"<html><body>gateway</body></html>", "text/html")
        else:
            if fault.action == "truncate":
                handler.send_response(status)
                handler.send_header("Content-Type", kind)
                handler.send_header("Content-Length", str(len(answer)))
                handler.end_headers()
                handler.wfile.write(answer[: len(answer) // 2])
                handler.wfile.flush()
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)

    def _forward(self, handler: http.server.BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes, str]:
        scheme, host = self.upstream.split("://")
        headers = {"Content-Type": handler.headers.get("Content-Type", "application/json")}
        connection: http.client.HTTPConnection
        if scheme == "https":
            trusting = ssl._create_unverified_context()  # the way to the engine is not what is tested here
            connection = http.client.HTTPSConnection(host, timeout=120, context=trusting)
            headers["Authorization"] = handler.headers.get("Authorization", "")
        else:
            connection = http.client.HTTPConnection(host, timeout=120)
        connection.request(handler.command, handler.path, body or None, headers)
        answer = connection.getresponse()
        try:
            return answer.status, answer.read(), answer.getheader("Content-Type", "application/json")
        finally:
            connection.close()

    @staticmethod
    def _send(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
        try:
            handler.send_response(status)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            handler.close_connection = True  # the client has not waited

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
