# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks before a restore that no real server can be brought to on purpose."""

from __future__ import annotations

import os
import types
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database import checks


@pytest.mark.parametrize(("left", "number"), [(0, 1), (100, 0)])
def test_what_a_killed_restore_left_is_room(monkeypatch: pytest.MonkeyPatch, left: int, number: int) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _folder: types.SimpleNamespace(f_bavail=50, f_frsize=1))
    admin: t.Any = types.SimpleNamespace(rows=lambda *_asked: [("/", True)])
    target: t.Any = types.SimpleNamespace(existing=None, login=types.SimpleNamespace(subject="database 'nuxeo'"))
    assert len(list(checks.of_space(admin, {"database": {"size": 100}}, target, left))) == number
