# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: folders of a store: have they changed, what is in them."""

from __future__ import annotations

import contextlib
import os
import stat
import time
import typing as t

from . import names
from .errors import Problems, Vanished, os_reason, writing_failed
from .spool import Spool
from .state import UNTRUSTED, State
from .tally import FOUND
from .text import MANY, WINDOW, Buffer, Sorter, by_many, lines_of, part

DOUBT = 2_000_000_000
"""A time within 2 s of the scan that reads it may stay the same while the folder changes."""

LONG = 64 * WINDOW
"""Bytes of lines from which on they are too many for memory."""

COUNTS = ("copied", "bytes_copied", "present", "vanished", "ignored", "listed", "doubted", "bytes_read")


class Plan(t.NamedTuple):
    """What a pass does, as its workers need it."""

    data: bytes
    pool: bytes
    content_named: bool
    """Whether the pool keeps blobs under the SHA-256 of their bytes (record and encrypted stores)."""
    full: bool
    folder_times: bool


class Scan:
    """What is in one folder that has changed, or may have, or in a slice of it."""

    def __init__(self, path: bytes, place: bytes, before: Buffer = b"") -> None:
        self.path = path
        self.place = place
        self.before = before
        """The lines of the state."""
        self.modified = UNTRUSTED
        self.changed = 0
        self.same = False
        """Whether its times are those of the state."""
        self.plain: t.List[bytes] = []
        """Keys that are the digest of the bytes."""
        self.named: t.List[bytes] = []
        """Keys under which the bytes can be others."""
        self.many: t.Optional[Sorter] = None
        """All keys, when they are too many for memory."""
        self.below: t.List[bytes] = []
        self.old = b""
        """The lines of the state, when they are few."""
        self.lines: t.List[bytes] = []
        self.gone = self.unread = self.copied = False
        self.sound = True

    @property
    def blobs(self) -> int:
        """How many are in memory."""
        return len(self.plain) + len(self.named)

    def set_apart(self, folder: str) -> None:
        """Let the keys wait in a file there."""
        if self.many is None:
            self.many = Sorter(folder)
        for keys in (self.plain, self.named):
            self.many.add(key + b"\n" for key in keys)
            keys.clear()


def old_enough(*times: int) -> bool:
    """Whether times are so long past that a change from now on would give others."""
    return max(times) <= time.time_ns() - DOUBT


def kind_of(place: bytes) -> str:
    """What lies where a blob should, for a message. Raises Vanished: not every file system says it with the name."""
    try:
        mode = os.lstat(place).st_mode
    except FileNotFoundError:
        raise Vanished from None
    except OSError as error:
        return f"refused, it cannot be looked at: {os_reason(error)}"
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return f"refused, it is {kinds.get(stat.S_IFMT(mode), 'a device')}, not a blob"


def lines_for(keys: t.Iterable[bytes], before: Buffer, first: int, end: int) -> bytes:
    """The lines of the state from one place to another; of very many only those of some keys."""
    if end - first <= LONG:
        return bytes(before[first:end])
    wanted = set(keys)
    lines = lines_of(part(before, first, end))
    return b"".join(line for line in lines if names.parse(line.rstrip(b"\n")).key + b"\n" in wanted)


def changed_folders(state: State, data: bytes, first: int, end: int) -> t.List[int]:
    """The folders of a range whose times are not those of the state. The hot loop of a pass: all else is rare."""
    stat_of, found = os.stat, []
    paths, modified, changed = state.paths[first:end], state.modified[first:end], state.changed[first:end]
    if paths[:1] == [b""]:
        paths[0] = b"."  # data itself
    try:
        root = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return list(range(first, end))  # looked at again, and told
    try:
        for index, (path, wrote, became) in enumerate(zip(paths, modified, changed), first):
            try:
                info = stat_of(path, dir_fd=root)
                if info.st_mtime_ns == wrote and info.st_ctime_ns == became:
                    continue
            except OSError:
                pass  # looked at again, and told
            found.append(index)
    finally:
        os.close(root)
    return found


class Looker:
    """Looks at folders."""

    def __init__(self, plan: Plan, state: State, spool: Spool, tally: memoryview) -> None:
        self.plan = plan
        self.state = state
        self.spool = spool
        self.tally = tally
        self.counts = dict.fromkeys(COUNTS, 0)
        self.problems = Problems()

    def look(self, path: bytes, index: int) -> t.Optional[Scan]:
        """None when nothing has changed."""
        place = self.plan.data + b"/" + path if path else self.plan.data
        scan = Scan(path, place, self.state.lines(index) if index >= 0 else b"")
        try:
            info = os.stat(place)
            modified, changed = info.st_mtime_ns, info.st_ctime_ns
            scan.same = index >= 0 and self.state.modified[index] == modified and self.state.changed[index] == changed
            if scan.same and not self.plan.full and self.plan.folder_times:
                return None
            scan.changed = changed
            scan.modified = modified if old_enough(modified, changed) else UNTRUSTED
            self.counts["listed"] += 1
            self._list(scan)
        except FileNotFoundError:
            scan = Scan(path, place)
            scan.gone = True
        except OSError as error:
            scan = Scan(path, place, scan.before)
            scan.unread, scan.sound = True, False
            self.problems.add(path + b"/", f"the folder cannot be read: {os_reason(error)}")
        return scan

    def _list(self, scan: Scan) -> None:
        digest_named = not self.plan.content_named
        found = 0
        with os.scandir(scan.place) as entries:
            for some in by_many(entries):
                for entry in some:
                    if digest_named and names.algorithm_of(entry.name) and entry.is_file(follow_symlinks=False):
                        scan.plain.append(entry.name)  # nearly all of them are that
                    else:
                        self._sort(entry, scan)
                if scan.many or scan.blobs >= MANY:
                    found += scan.blobs
                    self._set_apart(scan)
        self.tally[FOUND] += found + scan.blobs
        if scan.many or len(scan.before) > LONG:
            self._set_apart(scan)
        else:
            scan.old = bytes(scan.before[:])

    def _set_apart(self, scan: Scan) -> None:
        with self._of_state():
            scan.set_apart(self.spool.folder)

    def _apart(self, keys: Sorter) -> t.Iterator[bytes]:
        with self._of_state():
            yield from keys.lines()

    @contextlib.contextmanager
    def _of_state(self) -> t.Iterator[None]:
        """An error meanwhile is one of the state's volume, not of the pool's."""
        try:
            yield
        except OSError as error:
            raise writing_failed(os.fsencode(os.path.dirname(self.spool.folder)), error) from error

    def _sort(self, entry: os.DirEntry[bytes], scan: Scan) -> None:
        """Anything but a blob whose key is the digest of its bytes."""
        name = entry.name
        is_file = entry.is_file(follow_symlinks=False)
        is_folder = not is_file and entry.is_dir(follow_symlinks=False)
        if not is_file and not is_folder:
            try:
                self._refuse(scan, name, kind_of(scan.place + b"/" + name))
            except Vanished:
                self.counts["vanished"] += not names.in_flight(name)
        elif name.startswith(b".") or (is_file and names.in_flight(name)) or (not scan.path and name == b"lost+found"):
            self.counts["ignored"] += 1
        elif names.refusal(name):
            self._refuse(scan, name, f"refused, it has {names.refusal(name)}")
        elif is_file:
            scan.named.append(name)
        else:
            scan.below.append(scan.path + b"/" + name if scan.path else name)

    def _refuse(self, scan: Scan, name: bytes, why: str) -> None:
        scan.sound = False
        self.problems.add(scan.path + b"/" + name if scan.path else name, why)
