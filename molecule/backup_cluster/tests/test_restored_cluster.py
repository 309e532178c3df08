# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: S101
"""Work is done once per instance, on all its nodes; what fails in one instance harms no other."""

from __future__ import annotations

import typing as t

from shared import looks


def test_one_set_holds_the_files_of_both_nodes(host: t.Any) -> None:
    """The dump is there once."""
    folder, manifest = looks.newest_set(host, "pair", "/shared/backups")
    assert manifest["kind"] == "hot"
    assert sorted(host.check_output("ls %s", f"{folder}/files").split()) == ["h1", "h2"]
    assert sorted(host.check_output("ls %s", f"{folder}/conf").split()) == ["h1", "h2"]
    assert len(host.check_output("sh -c %s", "ls /shared/backups/pair/sets | grep ^2").split()) == 1
    host.check_output("sh -c %s", f"cd {folder} && sha256sum --strict --quiet -c SHA256SUMS")


def test_the_other_instance_failed_and_left_nothing(host: t.Any) -> None:
    """Its set is not there, and the run said why."""
    assert host.run("sh -c %s", "ls /shared/backups/other/sets/ 2>/dev/null | grep -v '^$'").stdout == ""
    said = host.check_output("cat /shared/backup.log")
    assert "password authentication failed" in said
    assert "wrong" not in said


def test_no_row_names_a_missing_or_wrong_blob(host: t.Any) -> None:
    """I1."""
    keys = set(looks.psql(host, "select data from content where data is not null", "pair"))
    found = looks.sums(host, "/shared/binaries-pair/data")
    assert len(keys) >= 100
    assert {key: found.get(key) for key in keys} == {key: key for key in keys}


def test_each_node_has_its_own_files_again(host: t.Any) -> None:
    """And what was there instead is kept aside."""
    for node in ("h1", "h2"):
        assert host.check_output(f"cat /shared/own-{node}") == f"nuxeo 640\n{node}spoilt"


def test_both_nodes_run(host: t.Any) -> None:
    """And each answers."""
    for node in ("10.77.0.11", "10.77.0.12"):
        assert host.check_output(f"curl -sS http://{node}:8080/nuxeo/runningstatus?info=started") == "true"
