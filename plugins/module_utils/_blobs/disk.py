# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is written is on the disk before it has a name."""

from __future__ import annotations

import ctypes
import os
import re
import typing as t


def _kernel() -> t.Tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


HAS_SYNCFS = _kernel() >= (5, 8)
"""From Linux 5.8 on syncfs tells of errors while writing back; before that it is of no use as a proof."""


def syncfs(folder: bytes) -> None:
    """Write back all of the file system that holds a folder."""
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if library.syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)


def fsync(path: bytes) -> None:
    """Write back one file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_files(folder: bytes, paths: t.Sequence[bytes]) -> None:
    """Make files durable, all below a folder, at the cost of one."""
    if HAS_SYNCFS:
        syncfs(folder)
    else:
        for path in paths:
            fsync(path)


def sync_names(folder: bytes, paths: t.Sequence[bytes]) -> None:
    """Make the names of files durable, and those of the folders above them, up to a folder."""
    if HAS_SYNCFS:
        syncfs(folder)
        return
    folders: t.Set[bytes] = set()
    for path in paths:
        above = os.path.dirname(path)
        while len(above) >= len(folder) and above not in folders:
            folders.add(above)
            above = os.path.dirname(above)
    for above in sorted(folders, reverse=True):
        fsync(above)
