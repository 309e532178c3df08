# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S101, S608
"""A cold backup of embedded H2 and its restore, looked up by H2's own Shell, md5sum, sha256sum and curl."""

from __future__ import annotations

import json
import typing as t

from shared import looks

DATA = "/opt/nuxeo/server/nxserver/data"


def instance_of(host: t.Any) -> str:
    """The instance that the host has."""
    return "running" if host.check_output("hostname") == "h1" else "stopped"


def keys_of(host: t.Any, file: str) -> set[str]:
    """The blob keys in a copy of an H2 file (without ``.mv.db``), by H2's Shell."""
    host.check_output("cp %s /tmp/look.mv.db", f"{file}.mv.db")
    shell = "java -cp /opt/standin/h2-*.jar org.h2.tools.Shell -url jdbc:h2:/tmp/look -user sa -password ''"
    lines = host.check_output("sh -c %s", f"{shell} -sql 'select DATA from CONTENT'").splitlines()
    return {line.strip() for line in lines[1:] if not line.startswith("(")}


def test_the_set_reads_without_the_collection(host: t.Any) -> None:
    """Checksums by coreutils; real H2 opens the copy."""
    folder, manifest = looks.newest_set(host, instance_of(host))
    host.check_output("sh -c %s", f"cd {folder} && sha256sum --strict --quiet -c SHA256SUMS")
    assert manifest["kind"] == "cold"
    node = host.check_output("hostname")
    assert len(keys_of(host, f"{folder}/files/{node}/data/h2/nuxeo")) >= 60


def test_no_row_names_a_missing_or_wrong_blob(host: t.Any) -> None:
    """I1."""
    keys = keys_of(host, f"{DATA}/h2/nuxeo")
    found = looks.sums(host, f"{DATA}/binaries/data")
    assert len(keys) >= 60
    assert {key: found.get(key) for key in keys} == {key: key for key in keys}


def test_the_server_runs(host: t.Any) -> None:
    """It sees every document of before the stop."""
    assert looks.curl(host, "runningstatus?info=started") == "true"
    counts = json.loads(looks.curl(host, "standin/counts"))
    must, may = looks.ledger(host, looks.newest_set(host, instance_of(host))[1]["backup_date"])
    assert len(must) >= 60
    assert len(must) <= counts["documents"] <= len(may)
    assert counts["bad_blobs"] == 0
