# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: files that are whole or absent, whatever happens meanwhile."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import secrets
import typing as t


def fsync_directory(path: str) -> None:
    """Make the names in a folder durable. A rename is only safe after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replaced(path: str, mode: int = 0o600) -> t.Iterator[t.IO[bytes]]:
    """Write a file under a temporary name in its own folder, fsync, rename, fsync the folder."""
    folder = os.path.dirname(path) or "."
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)  # whatever the umask
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    fsync_directory(folder)


_UNFINISHED = re.compile(r"\.(.+)\.[0-9a-f]{8}\.tmp")


def remove_unfinished(folder: str, name: str) -> None:
    """Remove what killed runs have left of :func:`replaced` files; ``name`` is a pattern of whole names."""
    for each in os.listdir(folder):
        found = _UNFINISHED.fullmatch(each)
        if found and re.fullmatch(name, found.group(1)):
            os.unlink(os.path.join(folder, each))


def write_atomic(path: str, content: bytes, mode: int = 0o600) -> None:
    """Write a file of this content, see :func:`replaced`."""
    with replaced(path, mode) as stream:
        stream.write(content)


def write_json(path: str, value: t.Any, mode: int = 0o600) -> None:
    """Write a value as indented JSON with sorted keys, atomically."""
    write_atomic(path, (json.dumps(value, indent=2, sort_keys=True) + "\n").encode(), mode)


def sha256_file(path: str) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while True:
            block = stream.read(1 << 20)
            if not block:
                return digest.hexdigest()
            digest.update(block)


def utc(moment: datetime.datetime) -> str:
    """A time as ISO 8601 in UTC with ``Z``, to the microsecond."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is not a moment")
    return moment.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now() -> str:
    """The present time by this host's clock, see :func:`utc`."""
    return utc(datetime.datetime.now(datetime.timezone.utc))
