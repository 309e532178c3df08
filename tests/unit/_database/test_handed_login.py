# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A password file for modules of other collections: private, replaced by the next run, gone afterwards."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database import handed_login
from ansible_collections.nuxeo.platform.plugins.module_utils._database.error import DatabaseError
from ansible_collections.nuxeo.platform.plugins.module_utils._database.handed_login import hand, take_back
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import PostgresLogin

LOGIN = PostgresLogin("h", "5433", "d", "u", "se:cret", {"sslmode": "verify-full", "sslpassword": "secret2"})


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(handed_login, "MEMORY", str(tmp_path))
    return tmp_path


def mode(path: str | Path) -> int:
    return stat.S_IMODE(os.lstat(path).st_mode)


def test_the_file_is_private_and_nothing_else_is_secret() -> None:
    old = os.umask(0)
    try:
        found = hand(LOGIN, "backup-acme")
    finally:
        os.umask(old)
    path = found["connect_params"]["passfile"]
    assert (mode(path), mode(os.path.dirname(path))) == (0o600, 0o700)
    assert Path(path).read_text().splitlines()[1:] == ["*:*:*:*:se\\:cret"]
    assert {key: found[key] for key in ("host", "port", "name", "user")} == {
        "host": "h",
        "port": 5433,
        "name": "d",
        "user": "u",
    }
    assert found["connect_params"]["sslmode"] == "verify-full"
    assert not {"host", "port", "user", "dbname", "sslpassword"} & set(found["connect_params"])
    assert "secret" not in str(found) and "se:cret" not in str(found)
    assert take_back(found["token"]) is True
    assert not os.path.exists(path)
    assert take_back(found["token"]) is False


def test_what_a_killed_run_left_is_replaced_and_then_removed(memory: Path) -> None:
    killed = hand(LOGIN, "backup-acme")
    folder = Path(killed["connect_params"]["passfile"]).parent
    (folder / f".{Path(killed['connect_params']['passfile']).name}.0123.tmp").write_text("half a password")
    other = hand(LOGIN, "backup-beta")
    found = hand(LOGIN, "backup-acme")
    assert take_back(killed["token"]) is False, "it is another run's now"
    assert take_back(found["token"]) is True
    assert [str(path) for path in folder.iterdir()] == [other["connect_params"]["passfile"]]


def test_runs_of_one_label_to_two_databases_do_not_take_each_others_password() -> None:
    elsewhere = PostgresLogin("h", "5434", "d", "u", "other")
    one, two = hand(LOGIN, "restore-acme"), hand(elsewhere, "restore-acme")
    for found, password in ((one, "se\\:cret"), (two, "other")):
        assert password in Path(found["connect_params"]["passfile"]).read_text()
        assert take_back(found["token"]) is True


def test_modules_that_take_one_port_get_those_of_all_hosts() -> None:
    found = hand(PostgresLogin("h1,h2", "5433,5434", "d", "u"), "backup-acme")
    assert (found["host"], found["port"], found["connect_params"]["port"]) == ("h1,h2", 5433, "5433,5434")
    assert "port" not in hand(PostgresLogin("h1,h2", "5433", "d", "u"), "backup-acme")["connect_params"]


@pytest.mark.parametrize("token", ["", "../../etc/passwd", "0" * 32 + "-../x"])
def test_a_token_that_is_none_removes_nothing(token: str) -> None:
    with pytest.raises(DatabaseError, match="is no token"):
        take_back(token)


def test_without_a_password_there_is_no_file(memory: Path) -> None:
    assert "passfile" not in hand(PostgresLogin("", "", "d", "u"), "backup-acme")["connect_params"]
    assert not list(memory.iterdir())


@pytest.mark.parametrize("planted", ["link", "open"])
def test_a_folder_that_somebody_else_may_have_made_is_refused(memory: Path, planted: str) -> None:
    path = memory / f"pgpass-{os.geteuid()}"
    if planted == "link":
        (memory / "elsewhere").mkdir(mode=0o700)
        path.symlink_to(memory / "elsewhere")
    else:
        path.mkdir()
        path.chmod(0o755)
    with pytest.raises(DatabaseError, match="not a folder of user"):
        hand(LOGIN, "backup-acme")
