# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the facts of an instance would be with other properties in its nuxeo.conf."""

from __future__ import annotations

import os
import tempfile
import typing as t

from .change import Properties, change
from .facts import facts
from .locate import locate
from .resolve import resolve


def facts_with(
    properties: Properties,
    path: str | None = None,
    home: str | None = None,
    environment: t.Mapping[str, str] | None = None,
    version: str | None = None,
) -> dict[str, t.Any]:
    """Resolve a private copy of nuxeo.conf in which the properties are set, and no restore guard stands.

    Parameters as for :func:`resolve`. The file itself is not touched; the copy is owner-only and gone afterwards.
    """
    place = locate(path, home, environment)
    new = change(
        path=place.conf,
        home=place.home,
        version=version,
        properties=properties,
        secret_properties={},
        present=True,
        restore_guard="absent",
    ).new
    with tempfile.TemporaryDirectory(prefix="nuxeo-platform-") as folder:
        copy = os.path.join(folder, "nuxeo.conf")
        with open(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(new)
        found = facts(resolve(copy, place.home, place.environment, version))
    return {**found, "conf": os.path.abspath(place.conf)}
