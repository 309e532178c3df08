# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: bytes from file to file, hashed in the same read; names only for what is on the disk.

Files are written under temporary names. A group of them is made durable by one sync, then each is renamed to its place.
A process that is killed leaves temporary files and whole blobs, nothing else.

A temporary name is in a folder of the worker, or, where that is allowed, beside the place that the file will have:
a change of one small folder is less work for the file system than one of two, of which one is large. The folder of the
worker is there exactly while files wait for their names: it tells the next run that there may be some to be removed.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import time
import typing as t

from .disk import HAS_SYNCFS, Volume
from .errors import BlobError, os_reason
from .names import shown

CHUNK = 1 << 20

TEMPORARY = b".tmp"
"""The end of a temporary name. Beside blobs it begins with a dot, as no blob's does."""

_FICLONE = 0x40049409

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class SourceError(Exception):
    """A blob that cannot be read, or is not what it says. The others are copied all the same."""


class Changed(SourceError):
    """A blob whose bytes are not those that were announced."""


class Vanished(Exception):
    """A blob that was listed and is gone."""


def open_blob(path: bytes) -> t.Tuple[int, os.stat_result]:
    """Open a regular file, never waiting for a FIFO, never following a link."""
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        raise Vanished from None
    except OSError as error:
        link = error.errno == errno.ELOOP
        raise SourceError("it is a symbolic link" if link else f"it cannot be read: {os_reason(error)}") from error
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode):
        os.close(descriptor)
        raise SourceError("it is not a regular file")
    return descriptor, info


def look_at(path: bytes) -> os.stat_result:
    """The state of a blob, not of what a link leads to."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        raise Vanished from None
    except OSError as error:
        raise SourceError(f"it cannot be looked at: {os_reason(error)}") from error


def read(descriptor: int, size: int) -> bytes:
    """Read from the source; its errors are its own."""
    try:
        return os.read(descriptor, size)
    except OSError as error:
        raise SourceError(f"it cannot be read: {os_reason(error)}") from error


def hash_file(path: bytes, algorithm: str) -> t.Tuple[str, int]:
    """The digest and the size of a file."""
    descriptor, info = open_blob(path)
    try:
        total = hashlib.new(algorithm, usedforsecurity=False)
        size = 0
        want = min(info.st_size + 1, CHUNK)
        while True:
            block = read(descriptor, want)
            total.update(block)
            size += len(block)
            if not block or (len(block) < want and size == info.st_size):
                return total.hexdigest(), size
            want = CHUNK
    finally:
        os.close(descriptor)


class Group:
    """Blobs that wait for their names. Each sync costs the same, so they are many; a kill loses no more than these."""

    FILES = 65536
    BYTES = 1 << 30
    SECONDS = 30.0

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.files = self.bytes = 0
        self.since = 0.0

    def add(self, size: int) -> None:
        self.since = self.since or time.monotonic()
        self.files += 1
        self.bytes += size

    @property
    def full(self) -> bool:
        if self.files >= self.FILES or self.bytes >= self.BYTES:
            return True
        return bool(self.files) and time.monotonic() - self.since >= self.SECONDS


def _write_all(descriptor: int, block: bytes) -> None:
    done = os.write(descriptor, block) if block else 0
    while done < len(block):
        done += os.write(descriptor, memoryview(block)[done:])


class Copier:
    """Copies into one tree. ``adopt`` is called on each temporary file's descriptor (owner and mode on restore)."""

    def __init__(self, tree: bytes, temporary: bytes, adopt: t.Optional[t.Callable[[int], None]] = None) -> None:
        self.tree = tree
        self.temporary = temporary
        self.adopt = adopt
        self.folder_made: t.Callable[[bytes], None] = lambda path: None
        self.pending: t.List[t.Tuple[bytes, bytes]] = []
        self.group = Group()
        self.number = 0
        self.current = b""
        self.waiting = False
        self.clones = True
        self.volume = Volume(tree)

    def copy(self, source: bytes, algorithm: str, beside: bytes = b"") -> t.Tuple[str, int]:
        """Copy to a new temporary file, for :meth:`place` or :meth:`drop`. Returns its digest and size.

        ``beside`` is a path below the tree: the temporary file is made in the folder of that.
        """
        descriptor, info = open_blob(source)
        try:
            return self._copy(descriptor, info.st_size, algorithm, beside)
        finally:
            os.close(descriptor)

    def _copy(self, descriptor: int, expected: int, algorithm: str, beside: bytes) -> t.Tuple[str, int]:
        if expected >= CHUNK and self.clones and self._clone(descriptor, beside):
            return hash_file(self.current, algorithm)
        want = min(expected + 1, CHUNK)
        block = read(descriptor, want)
        total = hashlib.new(algorithm, block, usedforsecurity=False)
        size = len(block)
        target = self._new(beside)
        try:
            if self.adopt:
                self.adopt(target)
            while block:
                _write_all(target, block)
                if len(block) < want and size == expected:
                    break
                want = CHUNK
                block = read(descriptor, want)
                total.update(block)
                size += len(block)
        except SourceError:
            self.drop()
            raise
        finally:
            os.close(target)
        return total.hexdigest(), size

    def _clone(self, descriptor: int, beside: bytes) -> bool:
        """Let the file system share the bytes, where it can. What is hashed then is the copy."""
        target = self._new(beside)
        try:
            fcntl.ioctl(target, _FICLONE, descriptor)
            if self.adopt:
                self.adopt(target)
            return True
        except OSError:  # it cannot, or not between these two
            self.clones = False
            self.drop()
            return False
        finally:
            os.close(target)

    def receive(self, blocks: t.Iterator[bytes], algorithm: str, beside: bytes = b"") -> t.Tuple[str, int]:
        """Like :meth:`copy`, from blocks of bytes. All blocks are taken even when the source turns out bad."""
        total = hashlib.new(algorithm, usedforsecurity=False)
        size = 0
        target = self._new(beside)
        try:
            if self.adopt:
                self.adopt(target)
            for block in blocks:
                _write_all(target, block)
                total.update(block)
                size += len(block)
        except SourceError:
            self.drop()
            raise
        finally:
            os.close(target)
        return total.hexdigest(), size

    def _new(self, beside: bytes) -> int:
        """Make a temporary file."""
        if not self.waiting:
            os.mkdir(self.temporary, 0o700)
            self.waiting = True
        if beside:
            folder, name = os.path.split(beside)
            self.current = b"%s/%s/.%s%s" % (self.tree, folder, name, TEMPORARY)
            try:
                return os.open(self.current, _WRITE, 0o600)
            except FileNotFoundError:
                self._make_folders(folder)
                return os.open(self.current, _WRITE, 0o600)
            except FileExistsError:  # of another worker, which has found the same blob in another folder
                pass
        self.number += 1
        self.current = b"%s/%d" % (self.temporary, self.number)
        return os.open(self.current, _WRITE, 0o600)

    def drop(self) -> None:
        """Forget the file that was copied last."""
        os.unlink(self.current)
        if not self.pending:
            self._rest()

    def place(self, path: bytes, size: int) -> None:
        """Let the file that was copied last go to a path below the tree, at the next commit."""
        self.pending.append((self.current, path))
        self.group.add(size)

    def commit(self) -> None:
        """Data first, then names. The names are durable after :meth:`disk.Volume.sync_names`."""
        if not self.waiting:
            return
        self.volume.sync_files(name for name, _path in self.pending)
        for name, path in self.pending:
            target = self.tree + b"/" + path
            try:
                os.rename(name, target)
            except FileNotFoundError:
                self._make_folders(os.path.dirname(path))
                os.rename(name, target)
        if not HAS_SYNCFS:
            self.volume.sync_names(self.tree + b"/" + path for _name, path in self.pending)
        self.pending.clear()
        self.group.clear()
        self._rest()

    def _rest(self) -> None:
        """No file waits for its name any more."""
        os.rmdir(self.temporary)
        self.waiting = False

    def _make_folders(self, path: bytes) -> None:
        made = self.tree
        for part in path.split(b"/"):
            made += b"/" + part
            try:
                os.mkdir(made, 0o700)
            except FileExistsError:
                continue
            self.folder_made(made)


def writing_failed(tree: bytes, error: OSError) -> BlobError:
    """The error of a target that cannot be written."""
    todo = {
        errno.ENOSPC: "Free space on its volume, then run again: what is copied stays",
        errno.EDQUOT: "Raise the quota, then run again: what is copied stays",
        errno.EROFS: "Mount its volume for writing",
        errno.EACCES: "Give this user the right to write there",
    }
    said = todo.get(error.errno or 0, "Check the volume, then run again: what is copied stays")
    return BlobError(f"Writing of blobs to '{shown(tree)}'", os_reason(error), said)
