# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The locks of a dump: taken before its snapshot, never waited for at the cost of others, and given up for a reason."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database import postgresql_dump as dumping
from ansible_collections.nuxeo.platform.plugins.module_utils._database.catalogue import Tables
from ansible_collections.nuxeo.platform.plugins.module_utils._database.error import DatabaseError
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import PostgresLogin
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress


class Session:
    """Notes statements; ``refused`` says with which codes the lock of a table fails, one after the other."""

    def __init__(self, tables: dict[int, str], **refused: list[str]) -> None:
        self.tables, self.refused = tables, refused
        self.said: list[str] = []

    def rows(self, sql: str) -> list[t.Any]:
        self.said.append(sql)
        name = sql.split(" ")[3] if sql.startswith("LOCK ") else ""
        if self.refused.get(name):
            error = DatabaseError("Statement", "in words of the server")
            error.state = self.refused[name].pop(0)
            if error.state == "42P01":
                self.tables = {oid: other for oid, other in self.tables.items() if other != name}
            raise error
        return []

    @property
    def last(self) -> list[str]:
        """What was said since the transaction was begun the last time."""
        begun = max(at for at, sql in enumerate(self.said) if sql.startswith("BEGIN "))
        return self.said[begun:]


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[Session], None]:
    """Locks in a session; waiting takes no time but on its clock."""
    passed = [0.0]
    monkeypatch.setattr(dumping.time, "monotonic", lambda: passed[0])
    monkeypatch.setattr(dumping.time, "sleep", lambda seconds: passed.append(passed.pop() + seconds + 0.5))
    monkeypatch.setattr(dumping.catalogue, "tables", lambda session: Tables(dict(session.tables), {}))
    request = dumping.DumpRequest(PostgresLogin("h", "", "n", "u"), "/nowhere", lock_timeout=20)
    return lambda session: dumping._lock(t.cast(t.Any, session), request, Progress(None, "dump"))


BEGUN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def test_nothing_that_takes_a_snapshot_is_said_before_the_locks(lock: t.Callable[[Session], None]) -> None:
    session = Session({9: "b", 4: "a"})
    lock(session)
    assert session.last == [
        BEGUN,
        "SET LOCAL lock_timeout = 500",
        "LOCK TABLE ONLY a IN ACCESS SHARE MODE",
        "LOCK TABLE ONLY b IN ACCESS SHARE MODE",
        "SET LOCAL lock_timeout = 0",
    ]


def test_who_waits_for_one_table_lets_go_of_the_others(lock: t.Callable[[Session], None]) -> None:
    session = Session({4: "a", 9: "b"}, b=["55P03", "40P01", "55P03"])
    lock(session)
    assert session.said.count("ROLLBACK") == 3 and session.said.count(BEGUN) == 4
    assert [sql for sql in session.last if sql.startswith("LOCK ")] == [
        "LOCK TABLE ONLY a IN ACCESS SHARE MODE",
        "LOCK TABLE ONLY b IN ACCESS SHARE MODE",
    ]


def test_a_table_that_was_dropped_meanwhile_is_not_asked_for_again(lock: t.Callable[[Session], None]) -> None:
    session = Session({4: "a", 9: "b"}, a=["42P01"])
    lock(session)
    assert session.last[2:-1] == ["LOCK TABLE ONLY b IN ACCESS SHARE MODE"]


@pytest.mark.parametrize(("codes", "times"), [(["42501"], 1), (["55P03"] * 99, 22)])
def test_what_does_not_help_is_not_waited_for_and_all_else_not_for_ever(
    lock: t.Callable[[Session], None], codes: list[str], times: int
) -> None:
    session = Session({4: "a", 9: "b"}, b=codes)
    with pytest.raises(DatabaseError, match="table b could not be locked .*: in words of the server.* pg_locks"):
        lock(session)
    assert session.said.count(BEGUN) == times
