# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of backup sets."""

from __future__ import annotations

import os
import pathlib
import subprocess
import tempfile
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place


@pytest.fixture
def place(tmp_path: pathlib.Path) -> Place:
    (tmp_path / "root").mkdir()
    return Place(str(tmp_path / "root"), "acme")


@pytest.fixture
def facts(tmp_path: pathlib.Path) -> dict[str, t.Any]:
    """Of an instance on PostgreSQL with everything in its place."""
    data = tmp_path / "data"
    (data / "binaries" / "data").mkdir(parents=True)
    return {
        "version": "10.10",
        "conf": "/etc/nuxeo/nuxeo.conf",
        "home": "/opt/nuxeo",
        "templates": ["default"],
        "data_dir": str(data),
        "log_dir": "/var/log/nuxeo",
        "properties": {},
        "database": {"kind": "postgresql", "host": "db", "port": 5432, "name": "nuxeo", "user": "nuxeo"},
        "blobs": [{"provider": "default", "path": str(data / "binaries"), "kind": "file", "digest": "MD5", "depth": 2}],
        "audit": {"kept": "sql", "table": "NXP_LOGS"},
        "sequences": {"kept": "sql", "table": "NXP_UIDSEQ"},
        "streams": {"kind": "chronicle", "path": str(data / "stream")},
        "cluster": {"enabled": False, "id": None, "redis": None},
    }


@pytest.fixture
def mounted(tmp_path: pathlib.Path) -> t.Iterator[t.Callable[..., pathlib.Path]]:
    """Mounts on demand; needs root, as every way to a full or read-only disk does."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    made: t.List[pathlib.Path] = []

    def mount(*words: str) -> pathlib.Path:
        made.append(pathlib.Path(tempfile.mkdtemp(dir=tmp_path)))
        subprocess.run(["mount", *words, str(made[-1])], check=True)
        return made[-1]

    yield mount
    for folder in reversed(made):
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)  # a test may have done so
