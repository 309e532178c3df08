# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which nuxeo.conf, which NUXEO_HOME and which environment, when they were not given."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .errors import ConfError

KNOWN = (
    ("/etc/nuxeo/nuxeo.conf", "/var/lib/nuxeo/server"),
    ("/etc/nuxeo/nuxeo.conf", "/opt/nuxeo/server"),
    ("/opt/nuxeo/conf/nuxeo.conf", "/opt/nuxeo/server"),
    ("/opt/nuxeo/server/bin/nuxeo.conf", "/opt/nuxeo/server"),
    ("/var/lib/nuxeo/server/bin/nuxeo.conf", "/var/lib/nuxeo/server"),
    ("/opt/nuxeo/bin/nuxeo.conf", "/opt/nuxeo"),
)


@dataclasses.dataclass(frozen=True)
class Place:
    """What is needed to resolve a configuration."""

    conf: str
    home: str
    environment: t.Mapping[str, str]


def locate(path: str | None, home: str | None, environment: t.Mapping[str, str] | None) -> Place:
    """Complete what was given."""
    conf = path or (f"{home}/bin/nuxeo.conf" if home else None)
    if conf is None:
        conf, home = next((pair for pair in KNOWN if all(map(os.path.exists, pair))), (None, None))
    if conf is None:
        raise ConfError("Search for nuxeo.conf", "none was found", "Give the path of nuxeo.conf")
    return Place(conf, home or os.path.dirname(os.path.dirname(os.path.abspath(conf))), environment or {})
