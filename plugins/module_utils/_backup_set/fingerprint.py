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
_H2_QUIET = 6.0
"""Seconds: H2 writes behind its commits, and tidies up once more when it has started."""
_PATIENCE = 45.0
"""Seconds after which a database that goes on changing is taken as it is: the next restore sees a change."""


def of_postgresql(params: t.Mapping[str, t.Any]) -> Fingerprint:
    """The count of changed rows, once it has been the same for a while. Options as for postgresql_restore."""
    with Database(from_params(params, guarded=True)) as database:
        return _settled(lambda: fingerprint(database), _QUIET)


def of_h2_at_rest(path: str) -> Fingerprint:
    """That of a file that a server has open, once it has been the same for a while."""
    return _settled(lambda: of_h2(path), _H2_QUIET)


def _settled(look: t.Callable[[], Fingerprint], quiet: float) -> Fingerprint:
    begun = since = time.monotonic()
    found: Fingerprint = {}
    while True:
        now = look()
        if now != found:
            found, since = now, time.monotonic()
        if time.monotonic() - since >= quiet or time.monotonic() - begun >= _PATIENCE:
            return found
        time.sleep(0.5)


def of_h2(path: str) -> Fingerprint:
    """Size and time of the database file; H2 writes to it for every change, and when it is closed."""
    for suffix in (".mv.db", ".h2.db"):
        if os.path.isfile(path + suffix):
            status = os.stat(path + suffix)
            return {"file": path + suffix, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    return {}
