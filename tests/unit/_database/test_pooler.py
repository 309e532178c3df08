# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands between a client and its server may give a session to several. The poolers are stand-ins."""

from __future__ import annotations

import contextlib
import itertools
import types
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database import postgresql
from ansible_collections.nuxeo.platform.plugins.module_utils._database.error import DatabaseError
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import PostgresLogin
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql import Database


class Connection:
    """One of a pool that gives out these sessions, one for each statement; the pooler tells a number of its own."""

    def __init__(self, sessions: t.Iterator[int], told: int) -> None:
        self.sessions = sessions
        self.info = types.SimpleNamespace(backend_pid=told, host="h", port=1)
        self.description = ["pid"]

    def cursor(self) -> Connection:
        return self

    def execute(self, _sql: str, _parameters: object = None) -> None:
        self.got = next(self.sessions)

    def fetchone(self) -> tuple[int]:
        return (self.got,)

    def fetchall(self) -> list[tuple[int]]:
        return [(self.got,)]

    def rollback(self) -> None: ...

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("first", "second", "told", "refused"),
    [
        ([7], [8], 7, False),  # no pooler
        ([7], [8], 1, False),  # each client has one of its own
        ([7], [7], 1, True),
        ([7, 7, 7, 9], [8], 1, True),  # somebody else has taken it meanwhile
        ([7] * 6 + [9], [8], 1, True),
        ([7, 7, 9], [7], 1, False),  # one that leaves it to whoever has set something
    ],
)
def test_a_pool_of_transactions_is_refused(
    monkeypatch: pytest.MonkeyPatch, first: list[int], second: list[int], told: int, refused: bool
) -> None:
    made = iter([Connection(itertools.chain(pids, itertools.repeat(pids[-1])), told) for pids in (first, second)])
    library = types.SimpleNamespace(connect=lambda **_words: next(made), Error=OSError)
    monkeypatch.setattr(postgresql, "require", lambda *_what: library)
    with pytest.raises(DatabaseError, match="pool_mode=session") if refused else contextlib.nullcontext():
        Database(PostgresLogin("h", "1", "nuxeo", "nuxeo"))
