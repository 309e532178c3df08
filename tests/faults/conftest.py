# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests that drive the playbooks as a user does."""

from __future__ import annotations

import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from servers.deployment import Site


@pytest.fixture
def site(tmp_path: Path, local_inventory: t.Callable[..., Path], start_playbook: t.Callable[..., t.Any]) -> Site:
    """An empty site with a backup root, whose steps outlive a run that is killed, as on another host."""
    from servers.deployment import Site

    made = Site(tmp_path / "backup", local_inventory, start_playbook)
    made.detached = True
    return made
