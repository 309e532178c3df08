# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the only door through which a database's password leaves this package."""

from __future__ import annotations

import dataclasses
import typing as t

from .database import URL, database
from .errors import ConfError
from .preview import resolve_with
from .resolve import resolve


@dataclasses.dataclass(frozen=True)
class Login:
    """How the instance reaches its database. The password and the URL are never shown by ``repr``."""

    kind: str
    host: str | None
    port: int | str | None
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
    properties: t.Mapping[str, t.Any] | None = None,
) -> Login:
    """Read the login of the database from nuxeo.conf, on the node, through the same rules as the facts.

    :param properties: as for :func:`resolve_with`; a guard is then read over too
    """
    if properties or ignore_guard:
        configuration = resolve_with(properties, path, home, environment, version)
    else:
        configuration = resolve(path, home, environment, version)
    found = database(configuration)
    if found.kind is None or found.kind == "other":
        why = "no JDBC URL is set" if found.kind is None else "the kind of database in its JDBC URL is not known"
        conf = path or configuration.conf
        raise ConfError(f"Reading of the database in '{conf}'", why, f"Check {URL} and nuxeo.templates")
    return Login(found.kind, found.host, found.port, found.name, found.user, found.password, found.url, found.path)
