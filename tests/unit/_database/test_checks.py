# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks before a restore that no real server can be brought to on purpose."""

from __future__ import annotations

import os
import types
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._database import checks, lookup


@pytest.mark.parametrize(("left", "number"), [(0, 1), (100, 0)])
def test_what_a_killed_restore_left_is_room(monkeypatch: pytest.MonkeyPatch, left: int, number: int) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _folder: types.SimpleNamespace(f_bavail=50, f_frsize=1))
    admin: t.Any = types.SimpleNamespace(rows=lambda *_asked: [("/", True)])
    target: t.Any = types.SimpleNamespace(existing=None, login=types.SimpleNamespace(subject="database 'nuxeo'"))
    assert len(list(checks.of_space(admin, {"database": {"size": 100}}, target, left))) == number


@pytest.mark.parametrize(
    ("own", "missed"),
    [
        ("", []),
        ("NX,public", []),
        ('public, "n,x ""1""", nx', []),
        ('"NX"', ["nx.content", "public.CONTENT"]),
        ("other,nx", ["nx.content", "public.CONTENT"]),
        ("$user", ["nx.content", "public.CONTENT"]),
        ("public", ["nx.content"]),
    ],
)
def test_a_url_that_leads_to_no_table_or_another_is_told(own: str, missed: list[str]) -> None:
    """Nuxeo's driver looks in these schemas, in this order, and of what was recorded each table has its own."""
    places = [("nx", "content"), ("public", "CONTENT"), ("other", "content"), ("away", "content")]
    contents = [{"schema": schema, "name": name} for schema, name in places]
    known = {"search_path": ["nx", "public"], "contents": contents}
    told = "".join(lookup.problems(known, "database 'n'", "other", own))
    assert [f"{schema}.{name}" for schema, name in places if f"{schema}.{name}" in told] == missed
    assert not list(lookup.problems({"search_path": ["nx"]}, "database 'n'", "u", "away")), "an older dump says less"
