# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the error of this store, and what to do about the clients' and the server's messages."""

from __future__ import annotations

import re
import typing as t

from .._errors import PlatformError

LONGEST = 1000
"""Characters of somebody else's message that go into one of ours."""

HINTS: t.Tuple[t.Tuple[str, str], ...] = (
    ("no space left on device", "Free space on that volume, then run again"),
    ("disk quota exceeded", "Raise the quota of the user who runs this, then run again"),
    ("password authentication failed", "Check user and password, for Nuxeo nuxeo.db.user and nuxeo.db.password"),
    ("no password supplied", "Give the password, for Nuxeo nuxeo.db.password"),
    ("no pg_hba.conf entry", "Let this host and user in by pg_hba.conf of the server"),
    ("does not exist", "Check the name, and that it is the right server"),
    ("timeout expired", "Check that the server runs, its address, and the firewalls in between"),
    ("connection refused", "Check that the server runs and listens on that address"),
    ("could not translate host name", "Check the name of the host"),
    ("no route to host", "Check the address and the network"),
    ("certificate", "Check sslmode, sslrootcert and the server's certificate"),
    ("permission denied", "Run as the owner of the database, or a role that may read and write all of it"),
    ("with oids", "ALTER TABLE ... SET WITHOUT OIDS where the dump is made, then dump again"),
    ("lock table", "Find in pg_locks who holds a lock on that table, and let it end first"),
    ("terminating connection", "Find in the server's log who ended the connection, then run again"),
    ("server closed the connection unexpectedly", "Find the reason in the server's log, then run again"),
)

_WHERE = "password retrieved from file"

_QUOTED = re.compile(
    r"^(Command was:|LINE \d+:|(?:CONTEXT: +)?COPY [^:\n]*:|DETAIL: [^(\n]*\()(.*?)"
    r"(?=^(?:Command was|CONTEXT|HINT|pg_restore):|\Z)",
    re.M | re.S,
)
"""A statement that failed, a piece of one, a piece of a row, a row or its key."""


class DatabaseError(PlatformError):
    """What failed in the store "database"."""

    state = ""
    """The server's own code of it (SQLSTATE), where it told one."""


def hint(text: str, otherwise: str = "") -> str:
    """What to do about a message of libpq, a client program or the server."""
    low = text.lower()
    return next((todo for words, todo in HINTS if words in low), otherwise)


def told(text: str) -> str:
    """Somebody else's message on one line, of bounded length. The end is kept: the reason stands there.

    Where libpq found a wrong password is left out: the file was made for this login, and is gone. So are the literals
    of a statement that failed: a password of a foreign server, say.
    """
    parts = [part.strip() for part in _QUOTED.sub(_without_values, text).strip().splitlines()]
    line = "; ".join(part for part in parts if part and not part.startswith(_WHERE))
    return line if len(line) <= LONGEST else "... " + line[-LONGEST:]


def _without_values(found: re.Match[str]) -> str:
    """A statement up to its first literal, of a piece nothing: where that begins nobody knows."""
    whose, quoted = found.groups()
    kept = re.split("['$]", quoted)[0] if whose == "Command was:" else ""
    return found.group() if kept == quoted else f"{whose}{kept.rstrip()} ...\n"
