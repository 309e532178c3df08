# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that meets another one, what an earlier one has left, or somebody who starts the server."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from servers.deployment import Site
from servers.nuxeo import proof

MARKER = ".nuxeo-platform-restore.json"


def marker_of(data_dir: Path) -> dict[str, t.Any]:
    path = data_dir / MARKER
    return dict(json.loads(path.read_text())) if path.exists() else {}


@pytest.fixture
def database(postgresql15: t.Any, make_database: t.Callable[..., t.Any]) -> t.Any:
    return make_database(postgresql15)


@pytest.fixture
def acme(site: Site, database: t.Any, make_nuxeo: t.Callable[..., t.Any]) -> t.Any:
    """It runs, and there is a set of it."""
    instance = make_nuxeo(database).start()
    instance.create_documents(4)
    site.add("acme", instance)
    site.backup()
    return instance


def test_a_set_of_another_instance_with_the_same_id_is_restored(
    site: Site,
    acme: t.Any,
    database: t.Any,
    postgresql15: t.Any,
    make_database: t.Callable[..., t.Any],
    make_nuxeo: t.Callable[..., t.Any],
) -> None:
    """A backup of a fleet gives several instances the id of one second."""
    other_database = make_database(postgresql15)
    other = make_nuxeo(other_database).start()
    other.create_documents(7)
    site.add("other", other)
    site.backup("--limit", "other")
    site.hosts.clear()
    place = make_database(postgresql15)
    staging = make_nuxeo(place)
    site.add("staging", staging)
    site.restore(postgresql15, restore_from_instance="acme", restore_overwrite=True)
    assert proof.documents(postgresql15, place.name) == proof.documents(postgresql15, database.name)
    marker = {**marker_of(staging.data_dir), "set": site.sets("other")[0].name}
    (staging.data_dir / MARKER).write_text(json.dumps(marker))
    site.restore(postgresql15, restore_from_instance="other", restore_overwrite=True)
    assert proof.documents(postgresql15, place.name) == proof.documents(postgresql15, other_database.name)
