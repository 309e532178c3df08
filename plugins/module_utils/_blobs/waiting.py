# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: files that wait for their names: names only for what is on the disk.

Files are written under temporary names. A group of them is made durable by one sync, then each is renamed to its place.
The sync runs beside, in a thread, while the files of the next group are written: it waits for the disk, they for the
processor. A process that is killed leaves temporary files and whole blobs, nothing else. A temporary name is one of:

- ``<temporary>/<number>``, in a folder of the worker.
- ``xx/yy/.<name>.<run>.tmp``, beside the place that the file will have: a change of one small folder is less work for
  the file system than one of two, of which one is large.
- ``xx/.yy.<run>.tmp/<name>``, when there is no folder ``xx/yy`` yet: one rename then is for all that is in it.
- ``.xx.<run>.tmp/yy/<name>``, when there is no folder ``xx`` either.

``<run>`` is of one group of one worker, so that no other, not one of a run that was cut off either, names a file that
is not its own. The folder of the worker is there exactly while files wait for their names: it tells the next run that
there may be some to be removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import typing as t

from . import disk

TEMPORARY = b".tmp"
"""The end of a temporary name. Beside blobs it begins with a dot, as no blob's does."""

_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Group:
    """Blobs that wait for their names. Each sync costs the same, so they are many; a kill loses at most two groups."""

    FILES = 32768
    BYTES = 1 << 29
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


def _mkdir(path: bytes) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)


def _new_run() -> bytes:
    return os.urandom(6).hex().encode()


class Waiting:
    """The files of one worker in a tree."""

    def __init__(self, tree: bytes, temporary: bytes) -> None:
        self.tree = tree
        self.temporary = temporary
        self.make_folder: t.Callable[[bytes], None] = _mkdir
        """Makes a folder where there is none yet."""
        self.group = Group()
        self.open = 0
        """The number of the group that a file placed now belongs to."""
        self.named = 0
        """How many groups have their names: those with smaller numbers."""
        self.current = b""
        """The file that was made last."""
        self._run = _new_run()
        self._number = 0
        self._begun = False
        self._renames: t.List[t.Tuple[bytes, bytes]] = []
        self._fresh: t.Dict[bytes, bytes] = {}
        """The temporary folders of the open group, by the top folders in whose place they are."""
        self._folder = b""
        """The folder that was written to last; what stands there before and after the name of a temporary file."""
        self._before = self._after = b""
        self._goes_along = False
        """Whether the file that was made last gets its name with its folder."""
        self._volume = disk.Volume(tree)
        self._sealed: t.List[t.Tuple[bytes, bytes]] = []
        self._sync: t.Optional[disk.Sync] = None

    @property
    def pending(self) -> bool:
        """Whether something waits."""
        return bool(self._renames or self._sealed)

    @property
    def last(self) -> int:
        """The number of the group of the file that was placed last."""
        return self.open if self._renames else self.open - 1

    def new(self, beside: bytes = b"") -> int:
        """Make a temporary file; its descriptor. ``beside`` is the path below the tree that it is meant for."""
        if not self._begun:
            os.mkdir(self.temporary, 0o700)
            self._begun = True
        if beside:
            folder, _slash, name = beside.rpartition(b"/")
            if folder != self._folder:
                self._enter(folder)
            self.current = self._before + name + self._after
            self._goes_along = not self._after
            try:
                return os.open(self.current, _WRITE, 0o600)
            except FileExistsError:  # the same blob, which the store has in two folders
                pass
        self._goes_along = False
        self._number += 1
        self.current = b"%b/%d" % (self.temporary, self._number)
        return os.open(self.current, _WRITE, 0o600)

    def _enter(self, folder: bytes) -> None:
        """Let files for a folder be made in a temporary one that gets its name, or in itself when it is there."""
        fresh = self._fresh_for(folder)
        self._before = fresh + b"/" if fresh else b"%b/%b/." % (self.tree, folder)
        self._after = b"" if fresh else b".%b%b" % (self._run, TEMPORARY)
        self._folder = folder

    def _fresh_for(self, folder: bytes) -> bytes:
        """A temporary folder in place of one that is not there yet, or nothing when its files are to go into it."""
        top, _slash, leaf = folder.partition(b"/")
        if not leaf or not disk.HAS_SYNCFS:  # without that each file is synced by its name
            self._make_folders(folder)
            return b""
        above = self._fresh.get(top)
        if above is None and not os.path.lexists(self.tree + b"/" + top):
            above = self._fresh[top] = b"%b/.%b.%b%b" % (self.tree, top, self._run, TEMPORARY)
            os.mkdir(above, 0o700)
            self._renames.append((above, top))
        if above is not None:
            fresh = above + b"/" + leaf
            _mkdir(fresh)
            return fresh
        if os.path.lexists(self.tree + b"/" + folder):
            return b""
        fresh = b"%b/%b/.%b.%b%b" % (self.tree, top, leaf, self._run, TEMPORARY)
        try:
            os.mkdir(fresh, 0o700)
        except FileExistsError:  # it waits already
            return fresh
        self._renames.append((fresh, folder))
        return fresh

    def drop(self) -> None:
        """Forget the file that was made last."""
        os.unlink(self.current)
        if not self.pending:
            self._rest()

    def place(self, path: bytes, size: int) -> None:
        """Let the file that was made last go to a path below the tree, at the next commit."""
        if not self._goes_along:
            self._renames.append((self.current, path))
        self.group.add(size)

    def advance(self) -> None:
        """Do what can be done without waiting, but never hold more than two groups.

        A full group is sealed: its sync begins, and the next group. One whose sync has ended gets its names.
        """
        if self._sync and (self.group.full or self._sync.ended):
            self._finish()
        if self.group.full:
            self._seal()

    def commit(self) -> None:
        """Data first, then names, of all that waits. The names are durable after :meth:`disk.Volume.sync_names`."""
        if self._sync:
            self._finish()
        if self._renames:
            self._seal()
            self._finish()

    def _seal(self) -> None:
        self._sealed, self._renames = self._renames, []
        self._sync = disk.Sync(self._volume, [name for name, _path in self._sealed])
        self._run = _new_run()
        self._fresh = {}
        self._folder = b""
        self.group.clear()
        self.open += 1

    def _finish(self) -> None:
        t.cast(disk.Sync, self._sync).wait()
        self._sync = None
        for name, path in self._sealed:
            self._rename(name, path)
        if not disk.HAS_SYNCFS:
            self._volume.sync_names(self.tree + b"/" + path for _name, path in self._sealed)
        self._sealed = []
        self.named += 1
        if not self.pending:
            self._rest()

    def _rename(self, name: bytes, path: bytes) -> None:
        target = self.tree + b"/" + path
        try:
            os.rename(name, target)
        except FileNotFoundError:
            self._make_folders(os.path.dirname(path))
            os.rename(name, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            for each in os.listdir(name):  # another worker has made that folder meanwhile
                self._rename(name + b"/" + each, path + b"/" + each)
            os.rmdir(name)

    def _rest(self) -> None:
        """No file waits for its name any more."""
        os.rmdir(self.temporary)
        self._begun = False

    def _make_folders(self, path: bytes) -> None:
        made = self.tree
        for part in path.split(b"/"):
            made += b"/" + part
            self.make_folder(made)


def sweep(tree: bytes, own: bytes) -> None:
    """Remove what waits for its name. The folders of the workers stay, in the folder ``own`` below the tree."""
    for top in os.listdir(tree):
        if top == own or not top.startswith(b"."):
            _sweep_below(tree + b"/" + top, every_file=top == own)
        elif _is_temporary(top) and os.path.isdir(tree + b"/" + top):
            shutil.rmtree(tree + b"/" + top)


def clear(tree: bytes, own: bytes) -> None:
    """Remove what waits for its name, and the folder ``own`` of the workers. The folders below are not looked through
    when no worker has left its own.
    """
    if os.listdir(tree + b"/" + own):
        sweep(tree, own)
    shutil.rmtree(tree + b"/" + own)


def _sweep_below(top: bytes, every_file: bool) -> None:
    for folder, below, files in os.walk(top):
        for name in files:
            if every_file or _is_temporary(name):
                os.unlink(folder + b"/" + name)
        for name in filter(_is_temporary, list(below)):
            shutil.rmtree(folder + b"/" + name)
            below.remove(name)


def _is_temporary(name: bytes) -> bool:
    return name.startswith(b".") and name.endswith(TEMPORARY)
