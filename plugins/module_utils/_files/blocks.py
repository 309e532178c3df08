# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the bytes of one file from one descriptor to another; holes stay holes."""

from __future__ import annotations

import errno
import hashlib
import os
import typing as t

BLOCK = 1 << 20
_ZEROS = bytes(BLOCK)

Step = t.Callable[[int], None]


def copy_bytes(source: int, target: int, size: int, step: Step) -> tuple[int, str]:
    """Copy up to ``size`` bytes, less when the file has become shorter; no more when it grows meanwhile.

    :param step: told after each block how many bytes it had
    :returns: the number of bytes written and their SHA-256
    """
    digest = hashlib.sha256()
    position = 0
    while position < size:
        start, end = _next_data(source, position, size)
        _skip(digest, start - position, step)
        position = start
        if start == end:  # the rest is a hole, as long as the file still is
            break
        while position < end:
            block = os.pread(source, min(BLOCK, end - position), position)
            if not block:
                size = end = position
                break
            _write(target, block, position)
            digest.update(block)
            position += len(block)
            step(len(block))
    os.ftruncate(target, position)
    return position, digest.hexdigest()


def hash_bytes(source: int, step: Step) -> tuple[int, str]:
    """The size and SHA-256 of an open file; holes are not read."""
    digest = hashlib.sha256()
    position, size = 0, os.fstat(source).st_size
    while position < size:
        start, end = _next_data(source, position, size)
        _skip(digest, start - position, step)
        position = start
        while position < end:
            block = os.pread(source, min(BLOCK, end - position), position)
            if not block:
                return position, digest.hexdigest()
            digest.update(block)
            position += len(block)
            step(len(block))
        if start == end:
            break
    return position, digest.hexdigest()


def _next_data(source: int, position: int, size: int) -> tuple[int, int]:
    """Where the next bytes that are no hole begin and end; equal when there are none any more."""
    try:
        start = os.lseek(source, position, os.SEEK_DATA)
        end = os.lseek(source, start, os.SEEK_HOLE)
    except OSError as error:
        if error.errno != errno.ENXIO:  # a file system that does not tell
            return position, size
        end = max(position, min(size, os.fstat(source).st_size))
        return end, end
    return min(start, size), min(end, size)


def _skip(digest: hashlib._Hash, length: int, step: Step) -> None:
    while length > 0:
        part = min(length, BLOCK)
        digest.update(_ZEROS[:part])
        step(part)
        length -= part


def _write(target: int, block: bytes, position: int) -> None:
    view = memoryview(block)
    while view:
        written = os.pwrite(target, view, position)
        view = view[written:]
        position += written
