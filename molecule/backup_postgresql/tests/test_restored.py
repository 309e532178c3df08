# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S101
"""A hot backup and its restore kept every promise, looked up by psql, md5sum, sha256sum, pg_restore and curl."""

from __future__ import annotations

import json
import typing as t

from shared import looks

STORE = "/opt/nuxeo/server/nxserver/data/binaries/data"


def test_the_set_reads_without_the_collection(host: t.Any) -> None:
    """Checksums by coreutils, the dump by pg_restore; nobody else can read it."""
    folder, manifest = looks.newest_set(host, "files")
    host.check_output("sh -c %s", f"cd {folder} && sha256sum --strict --quiet -c SHA256SUMS")
    assert "TABLE DATA public content" in host.check_output("pg_restore --list %s", f"{folder}/database/dump")
    assert manifest["kind"] == "hot"
    assert host.check_output("find %s ! -type l -perm /077", folder) == ""
    assert "le$cule" not in host.check_output("cat %s", f"{folder}/manifest.json")


def test_no_row_names_a_missing_or_wrong_blob(host: t.Any) -> None:
    """I1."""
    keys = set(looks.psql(host, "select data from content where data is not null"))
    found = looks.sums(host, STORE)
    assert len(keys) >= 200
    assert {key: found.get(key) for key in keys} == {key: key for key in keys}


def test_documents_of_before_the_backup_date_are_there(host: t.Any) -> None:
    """None is lost, none of later is there."""
    must, may = looks.ledger(host, looks.newest_set(host, "files")[1]["backup_date"])
    there = set(looks.psql(host, "select id from hierarchy where primarytype = 'File'"))
    assert len(must) >= 200
    assert must - there == set()
    assert there - may == set()


def test_the_server_runs(host: t.Any) -> None:
    """As its own user, and it sees its documents."""
    assert host.service("nuxeo").is_running
    assert looks.curl(host, "runningstatus?info=started") == "true"
    counts = json.loads(looks.curl(host, "standin/counts"))
    assert counts["documents"] >= 200
    assert counts["bad_blobs"] == 0
    ours = "-name '.nuxeo-platform-*' -prune"
    assert host.check_output(f"find /opt/nuxeo /etc/nuxeo {ours} -o ! -user nuxeo -print") == ""


def test_what_was_there_is_kept_once(host: t.Any) -> None:
    """The first restore kept the damaged database aside; the second restore of the same set did nothing."""
    kept = [name for name in looks.psql(host, "select datname from pg_database") if name.startswith("nuxeo_before_")]
    assert len(kept) == 1
