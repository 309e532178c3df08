# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules where something is missing: the library, Java, the jar."""

from __future__ import annotations

import dataclasses
import errno
import os
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database import h2
from ansible_collections.nuxeo.platform.plugins.module_utils._database.error import DatabaseError
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import PostgresLogin
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql import Database
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError


def test_without_a_library_the_interpreter_and_the_package_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("psycopg", "psycopg2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PlatformError) as caught:
        Database(PostgresLogin("h", "", "d", "u"))
    assert sys.executable in str(caught.value) and "Install psycopg>=3.1" in str(caught.value)


def test_newest_jar_of_the_first_folder_that_has_one(tmp_path: Path) -> None:
    for name in ("lib/h2-9.9.9.jar", "nxserver/lib/h2-1.4.200.jar", "nxserver/lib/h2-1.4.177-NX01.jar"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert h2._jar(h2.H2Request("x", home=str(tmp_path))) == f"{tmp_path}/nxserver/lib/h2-1.4.200.jar"
    why = r"no H2 was found as /no/h2.jar\. Name its file by backup_h2_jar \(jar\); for a restore it must be there"
    with pytest.raises(DatabaseError, match=why):
        h2._jar(h2.H2Request("x", jar="/no/h2.jar"))


def test_a_password_with_a_line_break_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mv.db").touch()
    (tmp_path / "h2.jar").touch()
    request = h2.H2Request(str(tmp_path / "x"), jar=str(tmp_path / "h2.jar"), java=sys.executable, password="a\nb")
    with pytest.raises(DatabaseError, match="line break"):
        h2.read(request, lambda _argv, _lines, _folder: (0, "", ""), None)


@pytest.mark.parametrize(
    ("code", "out", "err"),
    [
        (1, "", 'Exception in thread "main" org.h2.jdbc.JdbcSQLException: broken'),
        (0, "Error: org.h2.jdbc.JdbcSQLException: broken", ""),
        (0, "nothing of use", ""),
        (0, "1\n(1 row, 2 ms)\n", ""),
    ],
)
def test_any_doubt_about_the_answer_is_a_failure(tmp_path: Path, code: int, out: str, err: str) -> None:
    (tmp_path / "x.mv.db").touch()
    (tmp_path / "h2.jar").touch()
    request = h2.H2Request(str(tmp_path / "x"), jar=str(tmp_path / "h2.jar"), java=sys.executable)
    with pytest.raises(DatabaseError, match="Reading of the H2 database"):
        h2.read(request, lambda _argv, _lines, _folder: (code, out, err), None)


def test_fewer_rows_than_were_written_are_a_failure(tmp_path: Path) -> None:
    (tmp_path / "x.mv.db").touch()
    (tmp_path / "h2.jar").touch()
    request = h2.H2Request(str(tmp_path / "x"), jar=str(tmp_path / "h2.jar"), java=sys.executable)

    def shell(_argv: list[str], _lines: str, folder: str) -> tuple[int, str, str]:
        (Path(folder) / "0.csv").write_text('"A","B"\n"2.2.224","3"\n')
        (Path(folder) / "1.csv").write_text('"A","B","C"\n"PUBLIC","CONTENT","ID"\n')
        return 0, "1\n(1 row, 2 ms)\n2\n(1 row, 2 ms)\n", ""

    with pytest.raises(DatabaseError, match="2 rows were written, 1 were read"):
        h2.read(request, shell, None)


def test_what_the_system_refuses_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.mv.db").touch()
    (tmp_path / "h2.jar").touch()
    request = h2.H2Request(str(tmp_path / "x"), jar=str(tmp_path / "h2.jar"), java=sys.executable, work=str(tmp_path))

    def full(*_given: object) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(h2, "_collect", full)

    def shell(_argv: list[str], _lines: str, folder: str) -> tuple[int, str, str]:
        (Path(folder) / "0.csv").write_text('"A","B"\n"2.2.224","3"\n')
        (Path(folder) / "1.csv").write_text('"A","B","C"\n')
        return 0, "1\n(1 row, 2 ms)\n0\n(1 row, 2 ms)\n", ""

    with pytest.raises(DatabaseError, match="No space left on device. .*free space"):
        h2.read(dataclasses.replace(request, require_blob_keys=False), shell, None)
    with pytest.raises(DatabaseError, match="Not a directory"):
        h2.read(dataclasses.replace(request, work=f"{tmp_path}/h2.jar/below"), shell, None)
