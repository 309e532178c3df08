# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: folders of a store: have they changed, what is in them, what is new to the pool."""

from __future__ import annotations

import os
import stat
import time
import typing as t

from . import names
from .copier import hash_file, look_at
from .errors import Changed, Problems, SourceError, Vanished, os_reason, writing_failed
from .pool import Shelf
from .state import UNTRUSTED, State, release

DOUBT = 2_000_000_000
"""A time within 2 s of the scan that reads it may stay the same while the folder changes."""

AS_BEFORE = True
"""Said instead of the lines of a folder of which everything is as the state has it: a list of them all costs memory."""

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
    """What is in one folder that has changed, or may have."""

    def __init__(self, path: bytes, place: bytes, old: bytes) -> None:
        self.path = path
        self.place = place
        self.old = old
        self.modified = UNTRUSTED
        self.changed = 0
        self.same = False
        self.plain: t.List[bytes] = []
        """Keys that are the digest of the bytes."""
        self.named: t.List[bytes] = []
        """Keys under which the bytes can be others."""
        self.below: t.List[bytes] = []
        self.lines: t.Optional[t.List[bytes]] = []
        """None: the folder is gone."""
        self.sound = True
        self.copied = False


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


def _keys(lines: t.Iterable[bytes]) -> t.Set[bytes]:
    return {names.parse(line).key for line in lines}


def _text(lines: t.Iterable[bytes]) -> bytes:
    return b"\n".join([*sorted(lines), b""])


class Visitor:
    """Visits folders and copies what is new. The result of a task is a tuple: how many, folders, counts, problems."""

    def __init__(self, plan: Plan, state: State, shelf: Shelf) -> None:
        self.plan = plan
        self.state = state
        self.shelf = shelf
        self.counts = dict.fromkeys(COUNTS, 0)
        self.problems = Problems()
        self.held: t.List[t.Tuple[int, int, t.List[t.Any]]] = []
        """What was found, until its group has its names: the number of that, how many folders, and these."""
        self.rejected: t.Dict[bytes, str] = {}

    # --- the worker's side

    def handle(self, task: t.Any) -> None:
        scans = []
        size = task[1] - task[0] if isinstance(task[0], int) else len(task)
        for path, index in self._folders(task):
            scan = self._look(path, index)
            if scan is not None:
                scans.append(scan)
        try:
            self._copy_all(scans)
        except OSError as error:  # those of the source are caught where they happen
            raise writing_failed(self.plan.pool, error) from error
        said = [self._said(scan) for scan in scans]
        told = [each for each in said if each[3] is not AS_BEFORE or each[4]]
        self.held.append((self.shelf.last, size, told))
        release(self.state.text)

    def _folders(self, task: t.Any) -> t.Iterator[t.Tuple[bytes, int]]:
        if isinstance(task[0], int):
            unlisted = not self.plan.full and self.plan.folder_times
            for index in changed_folders(self.state, self.plan.data, *task) if unlisted else range(*task):
                yield self.state.paths[index], index
        else:
            for path in task:
                yield path, -1

    @staticmethod
    def _said(scan: Scan) -> t.List[t.Any]:
        text: t.Any = None if scan.lines is None else _text(scan.lines)
        if scan.same and scan.sound and not scan.copied and scan.modified != UNTRUSTED and text == scan.old:
            text = AS_BEFORE
        return [scan.path, scan.modified if scan.sound else UNTRUSTED, scan.changed, text, scan.below]

    def take(self, flush: bool) -> t.List[t.Any]:
        try:
            self.rejected.update(self.shelf.commit() if flush else self.shelf.advance())
        except OSError as error:
            raise writing_failed(self.plan.pool, error) from error
        if self.rejected:
            self._reject(self.rejected)
            self.rejected = {}
        final = self.shelf.named
        said: t.List[t.Any] = [(size, folders, {}, [], 0) for group, size, folders in self.held if group < final]
        if not said and self.held:
            return []
        self.held = [each for each in self.held if each[0] >= final]
        said.append((0, [], self.counts, self.problems.names, self.problems.count))
        self.counts = dict.fromkeys(COUNTS, 0)
        self.problems = Problems()
        return said

    def _reject(self, rejected: t.Dict[bytes, str]) -> None:
        """Take back lines of blobs that the far side found wrong."""
        for _group, _size, folders in self.held:
            for folder in folders:
                if folder[3] is None or folder[3] is AS_BEFORE:
                    continue
                kept = []
                for line in folder[3].splitlines():
                    entry = names.parse(line)
                    if entry.pool_name in rejected:
                        self.problems.add(entry.key, rejected[entry.pool_name])
                        self.counts["copied"] -= 1
                        folder[1] = UNTRUSTED
                    else:
                        kept.append(line + b"\n")
                folder[3] = b"".join(kept)

    def holds(self) -> bool:
        return bool(self.held)

    # --- looking

    def _look(self, path: bytes, index: int) -> t.Optional[Scan]:
        """None when nothing has changed."""
        place = self.plan.data + b"/" + path if path else self.plan.data
        try:
            info = os.stat(place)
            modified, changed = info.st_mtime_ns, info.st_ctime_ns
            same = index >= 0 and self.state.modified[index] == modified and self.state.changed[index] == changed
            if same and not self.plan.full and self.plan.folder_times:
                return None
            scan = Scan(path, place, self.state.lines(index) if index >= 0 else b"")
            scan.same, scan.changed = same, changed
            scan.modified = modified if old_enough(modified, changed) else UNTRUSTED
            self.counts["listed"] += 1
            digest_named = not self.plan.content_named
            with os.scandir(place) as entries:
                for entry in entries:
                    if digest_named and names.algorithm_of(entry.name) and entry.is_file(follow_symlinks=False):
                        scan.plain.append(entry.name)  # nearly all of them are that
                    else:
                        self._sort(entry, scan)
        except FileNotFoundError:
            scan = Scan(path, place, b"")
            scan.lines = None
        except OSError as error:
            scan = Scan(path, place, self.state.lines(index) if index >= 0 else b"")
            scan.lines = scan.old.splitlines()
            scan.sound = False
            self.problems.add(path + b"/", f"the folder cannot be read: {os_reason(error)}")
        return scan

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

    # --- copying

    def _copy_all(self, scans: t.Sequence[Scan]) -> None:
        lacking = self._lacking(self._asked(scans))
        for scan in scans:
            before = self.counts["copied"]
            if scan.plain:
                self._plain(scan, lacking)
            if scan.named:
                self._named(scan, lacking)
            scan.copied = self.counts["copied"] > before
            self.counts["doubted"] += self._is_doubted(scan)

    def _asked(self, scans: t.Sequence[Scan]) -> t.List[bytes]:
        """The names to be looked for in the pool. What is read for that is not kept: all records are in one folder."""
        asked: t.Set[bytes] = set()
        for scan in scans:
            if scan.plain:
                known = set() if self.plan.full else set(scan.old.splitlines())
                asked.update(key for key in scan.plain if key not in known)
            if scan.named:
                asked.update(names.parse(line).sha256 for line in scan.old.splitlines() if b"\t" in line)
        return sorted(asked)

    @staticmethod
    def _is_doubted(scan: Scan) -> bool:
        """Whether another time of the folder should have said that blobs came or went. A change of one does not."""
        if not scan.same or scan.lines is None or _text(scan.lines) == scan.old:
            return False
        return _keys(scan.lines) != _keys(scan.old.splitlines())

    def _lacking(self, asked: t.List[bytes]) -> t.Set[bytes]:
        if not asked:
            return set()
        return self.shelf.lacking(asked, self.plan.full)

    def _plain(self, scan: Scan, lacking: t.Set[bytes]) -> None:
        """Blobs whose key is the digest of their bytes."""
        lines = t.cast("t.List[bytes]", scan.lines)
        before, copy = scan.place + b"/", self.shelf.copy
        for key in sorted(scan.plain):
            if key not in lacking:
                self.counts["present"] += 1
                lines.append(key)
                continue
            try:
                self._count(copy(before + key, key, names.BY_LENGTH[len(key)]))
                lines.append(key)
            except Vanished:
                self.counts["vanished"] += 1
            except SourceError as error:
                scan.sound = False
                self.problems.add(key, str(error))

    def _count(self, size: int) -> None:
        """Count a copy. In a folder of very many blobs they get their names meanwhile, so that a kill costs few."""
        self.counts["copied"] += 1
        self.counts["bytes_copied"] += size
        if self.shelf.full:
            self.rejected.update(self.shelf.advance())

    def _named(self, scan: Scan, lacking: t.Set[bytes]) -> None:
        """Blobs whose bytes can be others under the same key: the pool keeps them under their SHA-256."""
        lines = t.cast("t.List[bytes]", scan.lines)
        known = {line.split(b"\t")[0]: line for line in scan.old.splitlines()}
        for key in sorted(scan.named):
            try:
                lines.append(self._named_one(scan.place + b"/" + key, key, known.get(key, b""), lacking))
            except Vanished:
                self.counts["vanished"] += 1
            except SourceError as error:
                scan.sound = False
                self.problems.add(key, str(error))

    def _named_one(self, source: bytes, key: bytes, line: bytes, lacking: t.Set[bytes]) -> bytes:
        for _attempt in range(3):
            info = look_at(source)
            signature = b"%d.%d.%d.%d" % (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
            if line.endswith(b"\t" + signature) and line.split(b"\t")[1] not in lacking:
                self.counts["present"] += 1
                return line
            if not old_enough(info.st_mtime_ns, info.st_ctime_ns):
                signature = b"-"
            try:
                sha = self._copy_named(source, names.parse(line).sha256)
            except Changed:
                continue
            after = look_at(source)
            if (after.st_ino, after.st_size, after.st_mtime_ns) == (info.st_ino, info.st_size, info.st_mtime_ns):
                return b"\t".join((key, sha, signature))
        raise SourceError("it changes while it is read, again and again")

    def _copy_named(self, source: bytes, before: bytes) -> bytes:
        """A blob that nobody knew is copied in one read. One that looks changed is read first: it may be a touch."""
        if not before:
            sha, size = self.shelf.store(source)
            self._count(size)
            return sha
        digest, size = hash_file(source, "sha256")
        sha = digest.encode()
        self.counts["bytes_read"] += size
        if self.shelf.lacking([sha], False):
            self._count(self.shelf.copy(source, sha, "sha256"))
        else:
            self.counts["present"] += 1
        return sha
