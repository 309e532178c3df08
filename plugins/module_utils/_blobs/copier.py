# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: bytes from file to file, hashed in the same read."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import typing as t

from .errors import ENCRYPTED, SourceError, Vanished, os_reason
from .waiting import Waiting

CHUNK = 1 << 20

_FICLONE = 0x40049409

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


_MAGIC = b"NUXEOCRYPT"
"""What a file that Nuxeo has encrypted begins with."""


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
        if error.errno == errno.ESTALE:  # NFS: another client has removed it, or put another one in its place
            raise Vanished from error
        raise SourceError(f"it cannot be read: {os_reason(error)}") from error


def new_hash(algorithm: str, block: bytes = b"") -> t.Any:
    """A digest that proves, and guards against nobody: a host in FIPS mode allows that."""
    return getattr(hashlib, algorithm)(block, usedforsecurity=False)


def hash_file(path: bytes, algorithm: str) -> t.Tuple[str, int]:
    """The digest and the size of a file."""
    descriptor, info = open_blob(path)
    try:
        total = new_hash(algorithm)
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


def _write_all(descriptor: int, block: bytes) -> None:
    done = os.write(descriptor, block)
    while done < len(block):
        done += os.write(descriptor, memoryview(block)[done:])


class Copier(Waiting):
    """Copies into one tree. ``adopt`` is called on each temporary file's descriptor (owner and mode on restore)."""

    def __init__(self, tree: bytes, temporary: bytes, adopt: t.Optional[t.Callable[[int], None]] = None) -> None:
        super().__init__(tree, temporary)
        self.adopt = adopt
        self.clones = True

    def copy(self, source: bytes, algorithm: str, beside: bytes = b"") -> t.Tuple[str, int]:
        """Copy to a new temporary file, for ``place`` or ``drop``. Returns its digest and size.

        ``beside`` is the path below the tree that it will have if it is what it says.
        """
        descriptor, info = open_blob(source)
        try:
            size = info.st_size
            if size >= CHUNK:
                return self._copy(descriptor, size, algorithm, beside)
            block = read(descriptor, size + 1)
            if len(block) != size:  # it is being changed
                os.lseek(descriptor, 0, os.SEEK_SET)
                return self._copy(descriptor, size, algorithm, beside)
        finally:
            os.close(descriptor)
        target = self.new(beside)
        try:
            if self.adopt:
                self.adopt(target)
            _write_all(target, block)
        finally:
            os.close(target)
        return new_hash(algorithm, block).hexdigest(), size

    def _copy(self, descriptor: int, expected: int, algorithm: str, beside: bytes) -> t.Tuple[str, int]:
        """Block by block, up to the end, wherever that is by then."""
        if expected >= CHUNK and self.clones and self._clone(descriptor, beside):
            try:
                return hash_file(self.current, algorithm)
            except (SourceError, Vanished):  # of the blocks that both share
                self.drop()
                raise
        blocks = iter(lambda: read(descriptor, CHUNK), b"")
        return self.receive(blocks, algorithm, beside)

    def _clone(self, descriptor: int, beside: bytes) -> bool:
        """Let the file system share the bytes, where it can. What is hashed then is the copy."""
        target = self.new(beside)
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

    def refuse(self, digest: str) -> str:
        """Drop the file that was made last, which has not the digest that it should; what is said of it."""
        with open(self.current, "rb") as stream:
            encrypted = stream.read(len(_MAGIC)) == _MAGIC
        self.drop()
        return f"{ENCRYPTED if encrypted else 'rotten: '}its bytes have the digest {digest}"

    def receive(self, blocks: t.Iterator[bytes], algorithm: str, beside: bytes = b"") -> t.Tuple[str, int]:
        """Like :meth:`copy`, from blocks of bytes. All blocks are taken even when the source turns out bad."""
        total = new_hash(algorithm)
        size = 0
        target = self.new(beside)
        try:
            if self.adopt:
                self.adopt(target)
            for block in blocks:
                _write_all(target, block)
                total.update(block)
                size += len(block)
        except (SourceError, Vanished):
            self.drop()
            raise
        finally:
            os.close(target)
        return total.hexdigest(), size
