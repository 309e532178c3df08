# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that come and go while a restore is on, its own and others', and what its last steps make of them."""

from __future__ import annotations

import contextlib
import threading
import typing as t

import psycopg2
import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils import _process
from ansible_collections.nuxeo.platform.plugins.module_utils._database import postgresql_restore
from ansible_collections.nuxeo.platform.plugins.module_utils._database.error import DatabaseError
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import PostgresLogin
from ansible_collections.nuxeo.platform.plugins.module_utils._process import Finished
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress

from .conftest import Run, as_admin, as_owner, databases, sums


@pytest.fixture
def ready(dump_of: t.Any, target_on: t.Any, make_ready: Run) -> t.Any:
    """A dump, a target with something in it, and the request to restore in this process."""
    dumped, target = dump_of("15"), target_on("15")
    as_owner(target, "CREATE TABLE mine (a text); INSERT INTO mine VALUES ('precious')")
    temporary = make_ready(dumped.src, **as_admin(target, overwrite=True))["create"]["name"]
    login = PostgresLogin(target.host, str(target.port), target.name, target.user, target.password)
    admin = PostgresLogin(target.host, str(target.port), target.name, target.server.user, target.server.password)
    request = postgresql_restore.RestoreRequest(
        str(dumped.src), login, admin=admin, overwrite=True, temporary=temporary
    )
    return dumped, target, request


def cut(target: t.Any) -> None:
    """End what waits beside the target, as a proxy does with sessions that are silent for long."""
    target.server.psql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'nuxeo.platform' AND datname = 'postgres'"
    )


@pytest.mark.parametrize("damaged", [False, True])
def test_no_session_has_to_wait_until_the_database_is_filled(ready: t.Any, damaged: bool) -> None:
    dumped, target, request = ready

    def run(argv: list[str], **more: t.Any) -> Finished:
        if "--no-owner" in argv:
            cut(target)
            if damaged:
                return Finished(1, "", "damaged")
        return _process.run(argv, **more)

    if damaged:
        with pytest.raises(DatabaseError, match="damaged"):
            postgresql_restore.restore(request, run, Progress(None, "restore"))
        assert databases(target) == [target.name]
        return
    result = postgresql_restore.restore(request, run, Progress(None, "restore"))
    assert databases(target) == [target.name, result["kept_aside"]]
    assert sums(target.server, target.name) == sums(dumped.source.server, dumped.source.name)


@contextlib.contextmanager
def looking_in(target: t.Any, seconds: float) -> t.Iterator[None]:
    """Somebody's session in the target, for that long."""
    connection = psycopg2.connect(
        host=target.host,
        port=target.port,
        dbname=target.name,
        user=target.server.user,
        password=target.server.password,
        application_name="a monitor",
    )
    leaves = threading.Timer(seconds, connection.close)
    leaves.start()
    try:
        yield
    finally:
        leaves.cancel()
        connection.close()


@pytest.mark.parametrize("stays", [False, True])
def test_who_only_looks_in_does_not_keep_the_database_from_its_name(
    ready: t.Any, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    _dumped, target, request = ready
    rename = postgresql_restore._rename

    def meanwhile(*given: t.Any) -> str:
        with looking_in(target, 60 if stays else 0.5):
            return rename(*given)

    monkeypatch.setattr(postgresql_restore, "_rename", meanwhile)
    if stays:
        with pytest.raises(DatabaseError, match="it was opened meanwhile by a monitor from 127.0.0.1"):
            postgresql_restore.restore(request, _process.run, Progress(None, "restore"))
        assert databases(target) == [target.name]
        assert as_owner(target, "SELECT a FROM mine") == "precious"
        return
    result = postgresql_restore.restore(request, _process.run, Progress(None, "restore"))
    assert target.server.psql("SELECT a FROM mine", result["kept_aside"]) == "precious"


def test_a_former_database_that_cannot_be_dropped_is_kept(ready: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The restored one has its name by then."""
    _dumped, target, request = ready
    as_owner(target, "DROP TABLE mine")

    def refused(*_given: object) -> None:
        raise DatabaseError("Statement", "it is used by a logical replication slot")

    monkeypatch.setattr(postgresql_restore, "drop", refused)
    result = postgresql_restore.restore(request, _process.run, Progress(None, "restore"))
    assert databases(target) == [target.name, result["kept_aside"]]
