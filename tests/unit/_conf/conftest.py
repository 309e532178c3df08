# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of the configuration and of the service."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import kept
from servers.nuxeo.ports import free_port


@pytest.fixture
def conf(tmp_path: Path) -> t.Iterator[Path]:
    path = tmp_path / "home/bin/nuxeo.conf"
    lines = f"nuxeo.server.http.port={free_port()}\norg.nuxeo.ecm.contextPath=/docs\nnuxeo.bind.address=0.0.0.0\n"
    for file, text in ((path, lines), (tmp_path / "home/templates/nuxeo.defaults", "nuxeo.data.dir=nxserver/data\n")):
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
    yield path
    kept.forget(str(path))
