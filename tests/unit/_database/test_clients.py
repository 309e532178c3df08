# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which client is taken, and what it is believed to be able to do. The clients are stand-ins with real answers."""

from __future__ import annotations

import stat
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database.clients import (
    Client,
    can_compress,
    choose,
    clients,
    compression,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._database.error import DatabaseError
from ansible_collections.nuxeo.platform.plugins.module_utils._database.login import PostgresLogin
from ansible_collections.nuxeo.platform.plugins.module_utils._database.postgresql_restore import RestoreRequest, _client
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError
from ansible_collections.nuxeo.platform.plugins.module_utils._process import Finished, run

NO_SERVER = 'pg_dump: error: connection to server on socket "/dev/null/none/.s.PGSQL.5432" failed: Not a directory\n'
OLD_LIBPQ = """pg_dump: [archiver (db)] connection to database "none" failed: \
could not connect to server: Not a directory
\tIs the server running locally and accepting
\tconnections on Unix domain socket "/dev/null/none/.s.PGSQL.5432"?
"""
NO_ZSTD = "pg_dump: error: invalid compression specification: this build does not support compression with ZSTD\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], str]:
    """Puts a client of a version onto the path."""
    monkeypatch.setattr(
        "ansible_collections.nuxeo.platform.plugins.module_utils._database.clients.PLACES", (f"{tmp_path}/*/bin",)
    )
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    def make(version: str) -> str:
        folder = tmp_path / version.replace(" ", "_") / "bin"
        folder.mkdir(parents=True)
        program = folder / "pg_dump"
        program.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return str(folder)

    return make


@pytest.mark.parametrize(
    ("there", "server", "wanted"),
    [
        (["14.2", "15.9 (Debian 15.9-1)", "15.18", "18.1"], 15, "15.18"),
        (["14.2", "18.1", "17.3", "17.11"], 15, "17.11"),
        (["18beta1"], 18, "18beta1"),
        (["9.6.24", "10.1"], 9, "9.6.24"),
    ],
)
def test_the_lowest_fitting_major_and_of_it_the_newest(
    install: t.Callable[[str], str], there: list[str], server: int, wanted: str
) -> None:
    for version in there:
        install(version)
    assert choose(run, server, None, "Dump").version == wanted


@pytest.mark.parametrize(
    ("there", "server", "wanted"),
    [
        (["14.2", "15.1", "16.1", "16.3", "18.1"], 16, "16.3"),
        (["14.2", "15.1", "18.1"], 16, "15.1"),
        (["14.2", "17.1", "18.1"], 16, "17.1"),
    ],
)
def test_for_a_restore_the_one_that_fits_the_server(
    install: t.Callable[[str], str], there: list[str], server: int, wanted: str
) -> None:
    for version in there:
        install(version)
    assert choose(run, 15, None, "Restore", server).version == wanted


def test_one_that_sets_what_the_server_knows_no_more_restores_nothing(install: t.Callable[[str], str]) -> None:
    """``default_with_oids``, for each table."""
    folder, found = install("11.22"), t.cast(t.List[str], [])
    request = RestoreRequest("/src", PostgresLogin("h", "", "n", "u"))
    assert _client(request, run, {"client_version": "9.6.24"}, 15, found) == (None, None)
    assert f"it needs the client programs of PostgreSQL 12 or newer, found: 11.22 in {folder}" in found[0]
    with pytest.raises(PlatformError, match=rf"Start of '{folder}/pg_restore'"):  # the stand-in has none
        _client(request, run, {"client_version": "9.6.24"}, 11, found)


def test_older_ones_are_refused_and_named(install: t.Callable[[str], str]) -> None:
    folder = install("15.18")
    with pytest.raises(DatabaseError, match=f"PostgreSQL 16 or newer, found: 15.18 in {folder}. Install"):
        choose(run, 16, None, "Dump")


def test_bin_dir_is_the_only_place(install: t.Callable[[str], str]) -> None:
    folder = install("15.1")
    install("15.18")
    assert [client.version for client in clients(run, folder)] == ["15.1"]


def test_debians_wrapper_is_left_out(install: t.Callable[[str], str], tmp_path: Path) -> None:
    folder = Path(install("15.18"))
    (folder / "pg_dump").rename(folder / "pg_wrapper")
    (folder / "pg_dump").symlink_to("pg_wrapper")
    assert clients(run, str(folder)) == []


def answering(err: str, code: int = 1) -> t.Callable[..., Finished]:
    """A client that says this whatever it is asked."""

    def answer(argv: t.Sequence[str], **_more: t.Any) -> Finished:
        answer.argv = list(argv)  # type: ignore[attr-defined]
        return Finished(code, "", err)

    return answer


@pytest.mark.parametrize(
    ("err", "code", "can"),
    [(NO_SERVER, 1, True), (NO_ZSTD, 1, False), ("", 0, False), ("Segmentation fault", -11, False)],
)
def test_a_compression_is_believed_only_when_the_client_gets_beyond_it(err: str, code: int, can: bool) -> None:
    assert can_compress(answering(err, code), Client("/b", "18.1"), "zstd:3") is can


@pytest.mark.parametrize(
    ("version", "err", "wanted", "method", "word"),
    [
        ("18.1", NO_SERVER, "auto", "zstd:3", "zstd:3"),
        ("18.1", NO_ZSTD, "auto", "gzip:1", "gzip:1"),
        ("15.1", NO_ZSTD, "auto", "gzip:1", "1"),
        ("14.20", NO_SERVER, "auto", "gzip:1", "1"),
        ("9.6.24", OLD_LIBPQ, "gzip", "gzip:1", "1"),
        ("15.1", NO_SERVER, "gzip:9", "gzip:9", "9"),
        ("15.1", NO_SERVER, "none", "none", "0"),
        ("16.1", NO_SERVER, "none", "none", "none"),
        ("16.1", NO_SERVER, "lz4", "lz4", "lz4"),
    ],
)
def test_words_for_the_client(version: str, err: str, wanted: str, method: str, word: str) -> None:
    assert compression(answering(err), Client("/b", version), wanted) == (method, word)


@pytest.mark.parametrize("wanted", ["zip", "gzip:1:2", "gzip:a", "zstd:3 -x", "", "auto\n"])
def test_what_is_no_compression(wanted: str) -> None:
    with pytest.raises(DatabaseError, match="is none"):
        compression(answering(NO_SERVER), Client("/b", "18.1"), wanted)
