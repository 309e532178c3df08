# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the only door through which a database's password leaves this package."""

from __future__ import annotations

import dataclasses
import typing as t

from .database import database
from .resolve import resolve


@dataclasses.dataclass(frozen=True)
class Login:
    """How the instance reaches its database. The password and the URL are never shown by ``repr``."""

    kind: str
    host: str | None
    port: int | None
    name: str | None
    user: str | None
    password: str | None = dataclasses.field(repr=False)
    url: str = dataclasses.field(repr=False)
    path: str | None = None


def database_login(
    path: str | None = None,
    home: str | None = None,
    environment: t.Mapping[str, str] | None = None,
    version: str | None = None,
    ignore_guard: bool = False,
) -> Login:
    """Read the login of the database from nuxeo.conf, on the node, through the same rules as the facts."""
    found = database(resolve(path, home, environment, version, ignore_guard=ignore_guard))
    return Login(found.kind, found.host, found.port, found.name, found.user, found.password, found.url, found.path)
