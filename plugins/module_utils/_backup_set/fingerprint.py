# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what shows that nobody has changed a restored database since."""

from __future__ import annotations

import os
import time
import typing as t

from .._conf.login import Login
from .._database.error import DatabaseError
from .._database.h2 import H2Request, Shell, content, file_of
from .._database.login import from_params
from .._database.postgresql import Database, fingerprint

Fingerprint = t.Dict[str, t.Any]

_QUIET = 11.0
"""Seconds: a PostgreSQL session that has gone idle tells its counts after ten."""
_H2_QUIET = 6.0
"""Seconds: H2 writes behind its commits, and Nuxeo has some after it answers."""
_PATIENCE = 45.0
"""Seconds after which a database that goes on changing is taken as it is: the next restore sees a change."""


def of_postgresql(params: t.Mapping[str, t.Any]) -> Fingerprint:
    """The count of changed rows, once it has been the same for a while. Options as for postgresql_restore."""
    with Database(from_params(params, guarded=True)) as database:
        return _settled(lambda: fingerprint(database), _QUIET)


def h2_request(login: Login, path: str, home: str | None) -> H2Request:
    """How the H2 database of an instance is read."""
    return H2Request(path=path, home=home, user=login.user or "sa", password=login.password or "")


def of_h2(request: H2Request, shell: Shell, warn: t.Callable[[str], None]) -> Fingerprint:
    """That of a database whose server may have it open: of its file, once that has been the same for a while, and of
    what it holds, since H2 writes to an open file by itself for about a minute.

    :param warn: takes why what it holds could not be read; any change of the file is one of the database then
    """
    found = _settled(lambda: _file(request.path), _H2_QUIET)
    if not found:
        return found
    return {**found, "content": _content(request, shell, warn)}


def is_same_h2(noted: t.Any, request: H2Request, shell: Shell, warn: t.Callable[[str], None]) -> bool:
    """Whether an H2 database holds what it held when that was noted. What cannot be read counts as changed."""
    now = _file(request.path)
    if not noted or not now or noted["file"] != now["file"]:
        return False
    if all(noted[key] == now[key] for key in now):
        return True
    return bool(noted.get("content")) and noted["content"] == _content(request, shell, warn)


def _content(request: H2Request, shell: Shell, warn: t.Callable[[str], None]) -> str | None:
    try:
        return content(request, shell)
    except DatabaseError as error:
        warn(f"{error} Until then nobody can tell that the database is as it was restored.")
        return None


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


def _file(path: str) -> Fingerprint:
    """Size and time of the database file; H2 writes to it for every change, and when it is closed."""
    file = file_of(path)
    if file is None:
        return {}
    status = os.stat(file)
    return {"file": file, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
