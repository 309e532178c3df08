# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the questions that the client library does not pass on: what this user may do on a topic
that does not exist yet, and whether it may be an idempotent producer.

A broker answers the first within Metadata, also for unknown names; the library drops what comes with an error. So these
requests are made by hand, read only, and with the creation of topics switched off.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import time
import typing as t

from .scram import exchange

OPERATIONS = {1 << 3: "READ", 1 << 4: "WRITE", 1 << 5: "CREATE", 1 << 8: "DESCRIBE", 1 << 11: "ALTER_CONFIGS"}
"""Bits of the answer; of ALL the broker sends each operation's own."""

METADATA, HANDSHAKE, AUTHENTICATE = (3, 8), (17, 1), (36, 0)
PRODUCER = (22, 0)
"""Key and version of each request; all brokers since 2.3 understand them, and the last one since 0.11."""

T = t.TypeVar("T")
NOT_TOLD = -(1 << 31)
UNAUTHORIZED = 29
CLUSTER_UNAUTHORIZED = 31
LARGEST = 64 << 20


class _Reader:
    """Takes an answer apart."""

    def __init__(self, raw: bytes) -> None:
        self.raw, self.at = raw, 0

    def number(self, form: str) -> int:
        (value,) = struct.unpack_from(">" + form, self.raw, self.at)
        self.at += struct.calcsize(form)
        return int(value)

    def skip(self, forms: str) -> None:
        self.at += struct.calcsize(">" + forms)

    def bytes(self, form: str = "h") -> bytes:
        size = max(0, self.number(form))
        self.at += size
        return self.raw[self.at - size : self.at]

    def each(self) -> range:
        return range(max(0, self.number("i")))


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">h", len(raw)) + raw


class _Connection:
    """One connection to one broker. ``end`` is the moment by which all has to be answered."""

    def __init__(self, settings: t.Mapping[str, t.Any], address: str, end: float) -> None:
        host, _colon, port = address.strip().rpartition(":")
        self.end, self.host = end, host.strip("[]")
        self.socket = socket.create_connection((self.host, int(port)), timeout=self._left())
        try:
            if settings.get("security.protocol", "").endswith("SSL"):
                self.socket = _context(settings).wrap_socket(self.socket, server_hostname=self.host)
            if settings.get("security.protocol", "").startswith("SASL"):
                self._login(settings)
        except BaseException:
            self.socket.close()
            raise

    def _left(self) -> float:
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def ask(self, request: tuple[int, int], body: bytes) -> _Reader:
        message = struct.pack(">hhi", *request, 0) + _text("nuxeo.platform") + body
        self.socket.settimeout(self._left())
        self.socket.sendall(struct.pack(">i", len(message)) + message)
        (size,) = struct.unpack(">i", self._receive(4))
        if not 4 <= size <= LARGEST:
            raise ValueError
        return _Reader(self._receive(size)[4:])

    def _receive(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            self.socket.settimeout(self._left())
            block = self.socket.recv(size - len(found))
            if not block:
                raise EOFError
            found += block
        return found

    def _login(self, settings: t.Mapping[str, t.Any]) -> None:
        mechanism = settings["sasl.mechanism"]
        steps = exchange(mechanism, settings["sasl.username"], settings["sasl.password"])
        if steps is None or self.ask(HANDSHAKE, _text(mechanism)).number("h"):
            raise PermissionError
        message = next(steps)
        with contextlib.suppress(StopIteration):
            while True:
                answer = self.ask(AUTHENTICATE, struct.pack(">i", len(message)) + message)
                if answer.number("h"):
                    raise PermissionError
                answer.bytes()
                message = steps.send(answer.bytes("i"))


def _context(settings: t.Mapping[str, t.Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.get("ssl.ca.location"))
    context.check_hostname = settings.get("ssl.endpoint.identification.algorithm") != "none"
    if settings.get("ssl.keystore.location"):
        raise PermissionError  # PKCS#12, which Python does not read
    if settings.get("ssl.certificate.location"):
        key, password = settings.get("ssl.key.location"), settings.get("ssl.key.password", "")
        context.load_cert_chain(settings["ssl.certificate.location"], key, password)
    return context


def _operations(found: _Reader) -> dict[str, frozenset[str]]:
    found.skip("i")  # throttle
    for _broker in found.each():
        found.skip("i")
        found.bytes()
        found.skip("i")
        found.bytes()
    found.bytes()  # cluster
    found.skip("i")  # controller
    operations: dict[str, frozenset[str]] = {}
    for _topic in found.each():
        error, name = found.number("h"), found.bytes().decode()
        found.skip("b")
        for _partition in found.each():
            found.skip("hiii")
            for _replicas in range(3):
                found.skip("i" * len(found.each()))
        bits = found.number("i")
        if error == UNAUTHORIZED:
            operations[name] = frozenset()
        elif bits != NOT_TOLD:
            operations[name] = frozenset(right for bit, right in OPERATIONS.items() if bits & bit)
    return operations


def operations(settings: t.Mapping[str, t.Any], names: t.Sequence[str], timeout: float) -> dict[str, frozenset[str]]:
    """What this user may do on each topic, also on one that is not there; an empty set where not even DESCRIBE is
    allowed.

    Nothing at all where the broker does not tell (older than 2.3) or cannot be asked in this way (a login by Kerberos
    or OAuth, a client certificate in PKCS#12): then the first refusal has to tell.
    """
    body = struct.pack(">i", len(names)) + b"".join(map(_text, names)) + b"\0\0\1"
    return _ask(settings, METADATA, body, timeout, _operations) or {}


def may_write_in_order(settings: t.Mapping[str, t.Any], timeout: float) -> bool:
    """Whether this user may be an idempotent producer, for which brokers before 2.8 ask a right of its own, newer ones
    WRITE on any topic. Where it cannot be asked, the first record has to tell.

    A producer's number is taken for it and never used.
    """
    body = struct.pack(">hi", -1, 60_000)
    return _ask(settings, PRODUCER, body, timeout, _producer) != CLUSTER_UNAUTHORIZED


def _producer(found: _Reader) -> int:
    found.skip("i")  # throttle
    return found.number("h")


def _ask(
    settings: t.Mapping[str, t.Any],
    request: tuple[int, int],
    body: bytes,
    timeout: float,
    read: t.Callable[[_Reader], T],
) -> t.Optional[T]:
    """What the first broker that can be asked answers; None when none can."""
    addresses = str(settings["bootstrap.servers"]).split(",")
    for address in addresses:
        try:
            connection = _Connection(settings, address, time.monotonic() + timeout / len(addresses))
            with contextlib.closing(connection.socket):
                return read(connection.ask(request, body))
        except (OSError, EOFError, ValueError, KeyError, struct.error):
            continue
    return None
