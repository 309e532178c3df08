# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the client's side of SCRAM (RFC 5802), as SASL messages in their order."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import typing as t

DIGESTS = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
Exchange = t.Generator[bytes, bytes, None]
"""Gives a message, is sent the answer to it, until it ends."""


class Refused(ValueError):
    """The server's answer is not that of a server that knows the password."""


def _fields(answer: bytes) -> dict[str, str]:
    return dict(part.split("=", 1) for part in answer.decode().split(",") if "=" in part)


def scram(mechanism: str, user: str, password: str) -> Exchange:
    """Prove the password to the server, and have the server prove that it knows it too."""
    digest = DIGESTS[mechanism]

    def sign(key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, digest).digest()

    nonce = secrets.token_urlsafe(24)
    first = f"n={user.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
    challenge = yield f"n,,{first}".encode()
    told = _fields(challenge)
    if not told.get("r", "").startswith(nonce) or "s" not in told or "i" not in told:
        raise Refused("not an answer to this login")
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), base64.b64decode(told["s"]), int(told["i"]))
    client = sign(salted, b"Client Key")
    last = f"c=biws,r={told['r']}"
    message = b",".join((first.encode(), challenge, last.encode()))
    proof = bytes(a ^ b for a, b in zip(client, sign(hashlib.new(digest, client).digest(), message)))
    final = yield f"{last},p={base64.b64encode(proof).decode()}".encode()
    expected = sign(sign(salted, b"Server Key"), message)
    if not hmac.compare_digest(base64.b64decode(_fields(final).get("v", "")), expected):
        raise Refused("the server does not know the password")


def plain(user: str, password: str) -> Exchange:
    """The password itself, as PLAIN has it."""
    yield b"\0".join((b"", user.encode(), password.encode()))


def exchange(mechanism: str, user: str, password: str) -> t.Optional[Exchange]:
    """The login by one mechanism; None for one that is not known here."""
    if mechanism == "PLAIN":
        return plain(user, password)
    return scram(mechanism, user, password) if mechanism in DIGESTS else None
