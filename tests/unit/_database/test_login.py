# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins: what a JDBC URL says to libpq, how options and nuxeo.conf go together, where the password is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import types
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database import login as module
from ansible_collections.nuxeo.platform.plugins.module_utils._database.error import DatabaseError
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import (
    PostgresLogin,
    from_params,
    jdbc_parameters,
    passfile,
)

URL = "jdbc:postgresql://db1:5433/nuxeo"


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", {}),
        ("?sslmode=require&currentSchema=x&loginTimeout=3", {"sslmode": "require"}),
        ("?sslmode=verify-full&sslrootcert=/a%20b/ca.pem", {"sslmode": "verify-full", "sslrootcert": "/a b/ca.pem"}),
        ("?ssl=true&sslrootcert=/ca", {"sslmode": "verify-full", "sslrootcert": "/ca"}),
        ("?ssl&sslrootcert=/ca", {"sslmode": "verify-full", "sslrootcert": "/ca"}),
        ("?ssl=false", {}),
        ("?ssl=true&sslmode=prefer", {"sslmode": "prefer"}),
        ("?ssl=true&sslfactory=org.postgresql.ssl.NonValidatingFactory", {"sslmode": "require"}),
        ("?targetServerType=primary", {"target_session_attrs": "read-write"}),
        ("?targetServerType=any", {}),
        ("?channelBinding=require&gssEncMode=disable", {"channel_binding": "require", "gssencmode": "disable"}),
    ],
)
def test_jdbc_parameters(query: str, wanted: dict[str, str]) -> None:
    assert jdbc_parameters(URL + query) == wanted


def test_authorities_of_the_system_where_none_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = "/etc/pki/tls/certs/ca-bundle.crt"
    monkeypatch.setattr(os.path, "exists", lambda path: path == theirs)
    assert jdbc_parameters(URL + "?sslmode=verify-full") == {"sslmode": "verify-full", "sslrootcert": theirs}


def test_conninfo_is_quoted_and_has_no_password() -> None:
    login = PostgresLogin("h", "5", "it's a \\db=1", "u x", "secret", {"sslmode": "require", "sslpassword": "secret"})
    words = login.conninfo()
    assert "dbname='it\\'s a \\\\db=1'" in words and "user='u x'" in words
    assert "secret" not in words and "secret" not in repr(login)
    import psycopg2.extensions

    parsed = psycopg2.extensions.parse_dsn(words)
    assert parsed["dbname"] == "it's a \\db=1"
    assert parsed["keepalives_idle"] == "30"


def test_password_file_is_private_escaped_and_gone_afterwards() -> None:
    with passfile(PostgresLogin("h", "", "d", "u", "a:b\\c ö")) as told:
        path = told["PGPASSFILE"]
        mode = os.stat(path).st_mode
        assert stat.S_ISREG(mode) and stat.S_IMODE(mode) == 0o600
        assert (
            subprocess.run(["cat", path], capture_output=True, check=True).stdout == "*:*:*:*:a\\:b\\\\c ö\n".encode()
        )
        assert path.startswith("/proc/"), "it has a name on a disk"
    assert not os.path.exists(path)


def test_password_file_where_the_system_has_no_memory_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    with passfile(PostgresLogin("h", "", "d", "u", "p")) as told:
        path = told["PGPASSFILE"]
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and not path.startswith("/proc/")
    assert not os.path.exists(path)


def test_no_password_no_file() -> None:
    with passfile(PostgresLogin("h", "", "d", "u")) as told:
        assert told == {}


def test_password_with_a_line_break_is_refused() -> None:
    with pytest.raises(DatabaseError, match="line break"), passfile(PostgresLogin("h", "", "d", "u", "a\nb")):
        pass


@pytest.fixture
def nuxeo_conf(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., None]:
    """Puts a reader of nuxeo.conf in place that finds the given login."""

    def make(**given: t.Any) -> None:
        found = {
            "kind": "postgresql",
            "host": "db1",
            "port": 5433,
            "name": "nuxeo",
            "user": "nuxeo",
            "password": "from conf",
            "url": URL + "?sslmode=require",
            **given,
        }
        fake = types.ModuleType("login")
        fake.database_login = lambda *_args, **_more: types.SimpleNamespace(**found)  # type: ignore[attr-defined]
        name = module.__name__.replace("_database.login", "_conf.login")
        monkeypatch.setitem(sys.modules, name, fake)

    return make


def test_all_from_nuxeo_conf(nuxeo_conf: t.Callable[..., None]) -> None:
    nuxeo_conf()
    login = from_params({"nuxeo_conf": "/n"})
    assert (login.host, login.port, login.name, login.user, login.password) == (
        "db1",
        "5433",
        "nuxeo",
        "nuxeo",
        "from conf",
    )
    assert login.extra["sslmode"] == "require"


def test_options_win(nuxeo_conf: t.Callable[..., None]) -> None:
    nuxeo_conf()
    login = from_params(
        {"nuxeo_conf": "/n", "login_host": "db2", "name": "copy", "ssl_mode": "verify-ca", "ca_cert": "/c"}
    )
    assert (login.host, login.port, login.name, login.password) == ("db2", "", "copy", "from conf")
    assert (login.extra["sslmode"], login.extra["sslrootcert"]) == ("verify-ca", "/c")


@pytest.mark.parametrize(
    ("host", "port", "where"),
    [
        ("h", "", "h:5432"),
        ("", "1", "the local socket:1"),
        ("h1,h2", "1", "h1:1,h2:1"),
        ("h1,h2", "1,2", "h1:1,h2:2"),
    ],
)
def test_messages_name_every_host_with_its_port(host: str, port: str, where: str) -> None:
    assert PostgresLogin(host, port, "d", "u").where == where


def test_password_of_another_user_is_not_taken(nuxeo_conf: t.Callable[..., None]) -> None:
    nuxeo_conf()
    assert from_params({"nuxeo_conf": "/n", "login_user": "postgres"}).password == ""
    assert from_params({"nuxeo_conf": "/n", "login_user": "nuxeo"}).password == "from conf"
    assert from_params({"nuxeo_conf": "/n", "login_password": ""}).password == ""


def test_other_kinds_are_refused(nuxeo_conf: t.Callable[..., None]) -> None:
    nuxeo_conf(kind="mysql")
    with pytest.raises(DatabaseError, match="of kind mysql"):
        from_params({"nuxeo_conf": "/n"})


def test_a_database_must_be_named() -> None:
    with pytest.raises(DatabaseError, match="no database is named"):
        from_params({"login_host": "h"})


def test_the_callers_variables_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGPASSWORD", "other")
    monkeypatch.setenv("PGSSLCRL", "kept")
    from_params({"name": "n"})
    assert "PGHOST" not in os.environ and "PGPASSWORD" not in os.environ and os.environ["PGSSLCRL"] == "kept"


@pytest.mark.parametrize("port", ["abc", "5432;", "5432,x", "-1"])
def test_a_port_that_is_no_number_is_told(port: str) -> None:
    with pytest.raises(DatabaseError, match=f"its port '{port}' is no number"):
        from_params({"login_host": "db", "login_port": port, "name": "nuxeo", "login_user": "u"})
