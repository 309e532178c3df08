# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A variable that is nearly one of the collection's is told from one of somebody else's."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._variables import known, misspelt

KNOWN = known(Path(__file__).resolve().parents[2])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("nuxeo_host", "nuxeo_hosts"),
        ("nuxeo_backup_roots", "nuxeo_backup_root"),
        ("nuxeo_conf", "nuxeo_conf_path"),
        ("restore_sett", "restore_set"),
        ("restore_override", "restore_overwrite"),
        ("backup_verify_sets", "backup_verify_set"),
        ("backup_accept_uncoverd", "backup_accept_uncovered"),
    ],
)
def test_what_is_nearly_a_variable_of_ours(name: str, meant: str) -> None:
    assert misspelt([name, "restore_set", "ticket"], KNOWN) == {name: meant}


def test_what_is_ours_or_nothing_like_it() -> None:
    others = [
        "nuxeo_license_server",
        "backup_ticket",
        "restore_requested_by",
        "awx_job_id",
        "restoreset",
        "environment",
    ]
    assert misspelt([*KNOWN, *others], KNOWN) == {}
