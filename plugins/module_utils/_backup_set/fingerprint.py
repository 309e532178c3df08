# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what shows that nobody has changed a restored database since."""

from __future__ import annotations

import os
import time
import typing as t

from .._database.login import from_params
from .._database.postgresql import Database, fingerprint

Fingerprint = t.Dict[str, t.Any]

_QUIET = 11.0
"""Seconds: a PostgreSQL session that has gone idle tells its counts after ten."""
_PATIENCE = 45.0
"""Seconds after which a database that goes on changing is taken as it is: the next restore sees a change."""


def of_postgresql(params: t.Mapping[str, t.Any]) -> Fingerprint:
    """The count of changed rows, once it has been the same for a while. Options as for postgresql_restore."""
    begun = since = time.monotonic()
    found: Fingerprint = {}
    with Database(from_params(params, guarded=True)) as database:
        while True:
            now = fingerprint(database)
            if now != found:
                found, since = now, time.monotonic()
            if time.monotonic() - since >= _QUIET or time.monotonic() - begun >= _PATIENCE:
                return found
            time.sleep(0.5)


def of_h2(path: str) -> Fingerprint:
    """Size and time of the database file; H2 writes to it for every change, and when it is closed."""
    for suffix in (".mv.db", ".h2.db"):
        if os.path.isfile(path + suffix):
            status = os.stat(path + suffix)
            return {"file": path + suffix, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    return {}
