# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a pool is on this host, or on another one (``host:path``)."""

from __future__ import annotations

import os
import typing as t

from .errors import BlobError
from .holding import local_look
from .home import LocalHome
from .pool import DryShelf, Home, LocalShelf, LocalSource, Shelf, Source


def split(where: str) -> t.Tuple[str, bytes]:
    """Host (empty for this one) and path."""
    host, colon, path = where.partition(":")
    if not colon or "/" in host:
        host, path = "", where
    if not path.startswith("/") or host.startswith("-"):
        raise BlobError(f"Reading of '{where}'", "it is not an absolute path, nor host:/path", "Write it in full")
    return host, os.fsencode(os.path.normpath(path))


def open_home(where: str, rsh: t.Sequence[str]) -> Home:
    """The pool as a whole."""
    host, path = split(where)
    if not host:
        return LocalHome(path)
    from . import remote  # noqa: PLC0415 - only where it is needed: a pass on one host is over before it is read

    return remote.RemoteHome(host, path, rsh)


def shelf_maker(where: str, rsh: t.Sequence[str], dry: bool) -> t.Callable[[int], Shelf]:
    """Makes the part of the pool that the n-th worker uses, in that worker."""
    host, path = split(where)
    if not host and dry:
        return lambda number: DryShelf(local_look(path))
    if not host:
        return lambda number: LocalShelf(path, number)
    from . import remote  # noqa: PLC0415 - only where it is needed: a pass on one host is over before it is read

    def connect() -> remote.Connection:
        return remote.Connection(host, path, rsh)

    if dry:
        return lambda number: DryShelf(remote.RemoteLook(connect))
    return lambda number: remote.RemoteShelf(connect, number)


def source_maker(where: str, rsh: t.Sequence[str]) -> t.Callable[[], Source]:
    """Makes what a worker reads from, in that worker."""
    host, path = split(where)
    if not host:
        return lambda: LocalSource(path)
    from . import remote  # noqa: PLC0415 - only where it is needed: a pass on one host is over before it is read

    return lambda: remote.RemoteSource(remote.Connection(host, path, rsh))
