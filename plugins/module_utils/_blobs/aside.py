# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is rotten is taken out of a pool."""

from __future__ import annotations

import os
import typing as t

from . import disk, generation, names
from .copier import hash_file
from .errors import BlobError, SourceError, Vanished, os_reason
from .lock import Lock

ASIDE = ".rotten"


def set_aside(pool: bytes, rotten: t.Sequence[bytes]) -> None:
    """See :meth:`Home.set_aside`."""
    aside = pool + b"/" + os.fsencode(ASIDE)
    with Lock(os.fsdecode(pool)):
        try:
            # first: killed between here and there, it costs the next pass a look for every name, and no blob
            generation.renew(pool)
            disk.fsync(pool)
            if rotten:
                os.makedirs(aside, 0o700, exist_ok=True)
                generation.adopt(pool, aside)
            for name in rotten:
                path = pool + b"/" + names.pool_path(name)
                if _is_rotten(path, name):
                    os.rename(path, aside + b"/" + name + b"." + os.urandom(4).hex().encode())
        except OSError as error:
            what = f"Setting aside of rotten blobs in '{names.shown(pool)}'"
            raise BlobError(what, os_reason(error), "Run as the user that owns it, or set set_aside=false") from error


def _is_rotten(path: bytes, name: bytes) -> bool:
    """Look again: another verify and a backup may have healed it meanwhile."""
    try:
        return hash_file(path, t.cast(str, names.algorithm_of(name)))[0].encode() != name
    except (SourceError, Vanished):
        return False
