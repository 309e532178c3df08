# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""h2_info on files that real H2 has made, in every line of versions that Nuxeo ships."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import typing as t
from pathlib import Path

import pytest

from .conftest import Run

VERSIONS = ["1.4.177", "1.4.200", "2.1.214", "2.2.224", "2.4.240"]

MADE = """
CREATE TABLE HIERARCHY (ID VARCHAR(36) PRIMARY KEY);
CREATE TABLE CONTENT (ID VARCHAR(36), NAME VARCHAR, "MIME-TYPE" VARCHAR, ENCODING VARCHAR, DATA VARCHAR, DIGEST VARCHAR,
  LENGTH BIGINT);
INSERT INTO CONTENT (ID, DATA) SELECT X, 'key' || MOD(X, 300)
  FROM SYSTEM_RANGE(1, 1000);
INSERT INTO CONTENT (ID, DATA) VALUES ('none', NULL), ('other', 'other:0123'), ('quoted', 'a"b,c'), ('upper', 'ZZ'),
  ('umlaut', STRINGDECODE('\\u00fc'));
CREATE SCHEMA "two";
CREATE TABLE "two"."content" ("id" VARCHAR(36), "name" VARCHAR, "mime-type" VARCHAR, "data" VARCHAR, "digest" VARCHAR,
  "length" BIGINT);
INSERT INTO "two"."content" ("id", "data") VALUES ('1', 'second'), ('2', 'ZZ');
"""


def java(jar: Path, tool: str, *words: str, folder: Path) -> str:
    """Run one of H2's own tools."""
    done = subprocess.run(
        ["java", "-cp", str(jar), f"org.h2.tools.{tool}", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert not done.returncode and "Exception" not in done.stderr, (done.stdout + done.stderr)[:300]
    return done.stdout


class Made(t.NamedTuple):
    """A database file, and the H2 that made it."""

    file: Path
    jar: Path


@pytest.fixture
def make_h2(tmp_path: Path, h2_jar: t.Callable[[str], Path]) -> t.Callable[..., Made]:
    """Makes a database file by a version of H2."""

    def make(version: str, sql: str = MADE, password: str = "", options: str = "") -> Made:
        folder = tmp_path / "the ; data" / "h2"
        folder.mkdir(parents=True, exist_ok=True)
        jar = h2_jar(version)
        (tmp_path / "made.sql").write_text(sql)
        words = ["-url", f"jdbc:h2:./nuxeo{options}", "-user", "sa", "-password", password]
        java(jar, "RunScript", *words, "-script", str(tmp_path / "made.sql"), folder=folder)
        return Made(next(folder.glob("nuxeo.*.db")), jar)

    return make


def wanted() -> list[str]:
    """The keys that the script above makes, in the order of bytes."""
    keys = {f"key{number}" for number in range(300)}
    return sorted(keys | {"other:0123", 'a"b,c', "ZZ", "second", "ü"}, key=str.encode)


@pytest.mark.parametrize("version", VERSIONS)
def test_keys_of_every_version(make_h2: t.Any, run_module: Run, tmp_path: Path, version: str) -> None:
    made = make_h2(version)
    before = (made.file.read_bytes(), made.file.stat().st_mtime_ns, sorted(os.listdir(made.file.parent)))
    path = str(made.file).partition(".mv.db")[0]
    result = run_module("h2_info", path=path, dest=tmp_path / "out", jar=made.jar)
    assert result.get("changed"), result
    assert (tmp_path / "out" / "blob-keys.txt").read_text().splitlines() == wanted()
    assert (result["blob_keys"], result["tables"], result["h2_version"]) == (305, 3, version)
    assert result["blob_providers"] == ["", "other"]
    assert (made.file.read_bytes(), made.file.stat().st_mtime_ns, sorted(os.listdir(made.file.parent))) == before
    assert os.listdir(tmp_path / "out") == ["blob-keys.txt"]
    assert (tmp_path / "out" / "blob-keys.txt").stat().st_mode & 0o777 == 0o600
    again = run_module("h2_info", path=path, dest=tmp_path / "out", jar=made.jar)
    assert again["changed"] is False


@pytest.mark.parametrize("version", [each for each in VERSIONS if each.startswith("1.")])
def test_older_file_format(make_h2: t.Any, run_module: Run, tmp_path: Path, version: str) -> None:
    made = make_h2(version, options=";MV_STORE=FALSE")
    assert made.file.name == "nuxeo.h2.db"
    result = run_module("h2_info", path=made.file.with_name("nuxeo"), dest=tmp_path / "out", jar=made.jar)
    assert result["blob_keys"] == 305


def test_jar_of_the_instance_is_found(make_h2: t.Any, run_module: Run, tmp_path: Path) -> None:
    made = make_h2("2.2.224")
    lib = tmp_path / "home [x]" / "nxserver" / "lib"
    lib.mkdir(parents=True)
    shutil.copy(made.jar, lib)
    result = run_module("h2_info", path=made.file, home=tmp_path / "home [x]")
    assert (result["jar"], result["blob_keys"], result["changed"]) == (str(lib / "h2-2.2.224.jar"), 305, False)


def test_check_mode_writes_nothing(make_h2: t.Any, run_module: Run, tmp_path: Path) -> None:
    made = make_h2("2.2.224")
    result = run_module("h2_info", check=True, path=made.file, dest=tmp_path / "out", jar=made.jar)
    assert result["blob_keys"] == 305
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("version", VERSIONS)
def test_java_and_h2_are_tried_without_the_file(h2_jar: t.Any, run_module: Run, tmp_path: Path, version: str) -> None:
    result = run_module("h2_info", path=tmp_path / "held by its server", open=False, jar=h2_jar(version))
    assert (result["h2_version"], result["changed"], result["blob_keys"]) == (version, False, 0)
    broken = tmp_path / "h2-2.2.224.jar"
    broken.write_bytes(b"PK")
    result = run_module("h2_info", path=tmp_path / "held", open=False, jar=broken)
    assert f"Start of H2 '{broken}'" in result["msg"]


@pytest.mark.parametrize("version", ["1.4.200", "2.2.224"])
def test_password_is_in_no_list_of_processes(make_h2: t.Any, start_module: t.Any, tmp_path: Path, version: str) -> None:
    made = make_h2(version, password="the-canary' x")
    wrong = start_module("h2_info", path=made.file, jar=made.jar, login_password="not-the-canary").wait()
    assert "Wrong user name or password" in wrong["msg"] and "not-the-canary" not in wrong["msg"]
    module = start_module(
        "h2_info", path=made.file, dest=tmp_path / "out", jar=made.jar, login_password="the-canary' x"
    )
    seen = b""
    while module.process.poll() is None:
        for pid in module.children():
            for what in ("cmdline", "environ"):
                try:
                    seen += Path(f"/proc/{pid}/{what}").read_bytes()
                except OSError:
                    continue
    assert module.wait()["blob_keys"] == 305
    assert b"org.h2.tools.Shell" in seen and b"the-canary" not in seen


# -- bad input --------------------------------------------------------------------------------------------------------


def test_file_of_another_line_of_versions(make_h2: t.Any, run_module: Run, tmp_path: Path, h2_jar: t.Any) -> None:
    made = make_h2("1.4.200")
    result = run_module("h2_info", path=made.file, dest=tmp_path / "out", jar=h2_jar("2.2.224"))
    assert result["failed"] and "h2-2.2.224.jar" in result["msg"]
    assert not os.listdir(tmp_path / "out")


@pytest.mark.parametrize("version", ["1.4.200", "2.2.224"])
def test_damaged_file(make_h2: t.Any, run_module: Run, tmp_path: Path, version: str) -> None:
    made = make_h2(version)
    content = made.file.read_bytes()
    made.file.write_bytes(b"\0" * 8192 + content[8192:])
    result = run_module("h2_info", path=made.file, dest=tmp_path / "out", jar=made.jar)
    assert result["failed"] and str(made.file) in result["msg"]
    assert not os.listdir(tmp_path / "out")


def test_database_without_repository(make_h2: t.Any, run_module: Run, tmp_path: Path) -> None:
    made = make_h2("2.2.224", sql="CREATE TABLE USERS (A INT);")
    result = run_module("h2_info", path=made.file, dest=tmp_path / "out", jar=made.jar)
    assert "no table CONTENT" in result["msg"]
    result = run_module("h2_info", path=made.file, dest=tmp_path / "out", jar=made.jar, require_blob_keys=False)
    assert (result["blob_keys"], result["tables"]) == (0, 1)


def test_key_that_is_no_line(make_h2: t.Any, run_module: Run, tmp_path: Path) -> None:
    sql = MADE + "INSERT INTO CONTENT (ID, DATA) VALUES ('bad', STRINGDECODE('a\\nb'));"
    made = make_h2("2.2.224", sql=sql)
    result = run_module("h2_info", path=made.file, dest=tmp_path / "out", jar=made.jar)
    assert "'a\\nb' can't be a blob's key" in result["msg"]


def test_key_with_a_blank_of_another_kind(make_h2: t.Any, run_module: Run, tmp_path: Path) -> None:
    """As in a name of a file, which is the key where blobs are read from a file system."""
    sql = MADE + "INSERT INTO CONTENT (ID, DATA) VALUES ('file', STRINGDECODE('fs:a\\u3000b\\u00a0c'));"
    made = make_h2("2.2.224", sql=sql)
    assert not run_module("h2_info", path=made.file, dest=tmp_path / "out", jar=made.jar).get("failed")
    assert "fs:a\u3000b\u00a0c".encode() in (tmp_path / "out" / "blob-keys.txt").read_bytes().split(b"\n")


def test_what_is_missing_is_named(make_h2: t.Any, run_module: Run, tmp_path: Path) -> None:
    result = run_module("h2_info", path=tmp_path / "none")
    assert "there is no such file" in result["msg"]
    made = make_h2("2.2.224")
    result = run_module("h2_info", path=made.file, home=tmp_path)
    assert "nxserver/lib/h2*.jar" in result["msg"]
    result = run_module("h2_info", path=made.file, jar=made.jar, java="/no/java")
    assert "'/no/java' is not there" in result["msg"]


def test_it_gives_signs_of_life_while_h2_works(make_h2: t.Any, run_module: Run, tmp_path: Path) -> None:
    """A large database takes longer than a run may be silent, whose place another would take then."""
    made, progress, slow = make_h2("2.2.224"), tmp_path / "progress.json", tmp_path / "java"
    slow.write_text(
        f"#!/bin/sh\ncp '{progress}' '{tmp_path}/before'\nrm '{progress}'\n"
        f"until [ -e '{progress}' ]; do sleep 0.2; done\nexec java \"$@\"\n"
    )
    slow.chmod(0o755)
    result = run_module("h2_info", path=made.file, jar=made.jar, java=slow, progress=progress)
    assert result["blob_keys"] == 305
    assert json.loads((tmp_path / "before").read_text())["phase"] == f"opening of '{made.file.name}'"
