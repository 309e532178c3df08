# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: one folder of a store: has it changed, what is in it, what of that is new to the pool."""

from __future__ import annotations

import os
import stat
import time
import typing as t

from . import names
from .copier import Copier, SourceError, Vanished, hash_file, writing_failed
from .errors import Problems, os_reason
from .state import UNTRUSTED, State

DOUBT = 2_000_000_000
"""A time within 2 s of the scan that reads it may stay the same while the folder changes."""

COUNTS = ("copied", "bytes_copied", "present", "vanished", "ignored", "listed", "doubted", "bytes_read")


class Plan(t.NamedTuple):
    """What a pass does, as its workers need it."""

    data: bytes
    pool: bytes
    temporary: bytes
    content_named: bool
    """Whether the pool keeps blobs under the SHA-256 of their bytes (record and encrypted stores)."""
    full: bool
    folder_times: bool
    dry: bool


class Visitor:
    """Visits folders and copies what is new. The result of a task is a tuple: folders, counts, problems."""

    def __init__(self, plan: Plan, state: State, number: int) -> None:
        self.plan = plan
        self.state = state
        self.copier = None if plan.dry else Copier(plan.pool, plan.temporary + b"/%d" % number)
        self.counts = dict.fromkeys(COUNTS, 0)
        self.problems = Problems()
        self.held: t.List[t.Any] = []
        self._pool_folder = b""
        self._pool_names: t.Set[bytes] = set()
        self._placed: t.Set[bytes] = set()

    # --- the worker's side

    def handle(self, task: t.Any) -> None:
        folders = []
        try:
            for path, index in self._folders(task):
                found = self.visit(path, index)
                if found is not None:
                    folders.append((path, *found))
        except OSError as error:  # those of the source are caught where they happen
            raise writing_failed(self.plan.pool, error) from error
        said = (task[1] - task[0] if isinstance(task[0], int) else len(task), folders, self.counts)
        self.held.append((*said, self.problems.names, self.problems.count))
        self.counts = dict.fromkeys(COUNTS, 0)
        self.problems = Problems()

    def _folders(self, task: t.Any) -> t.Iterator[t.Tuple[bytes, int]]:
        if isinstance(task[0], int):
            for index in range(*task):
                yield self.state.paths[index], index
        else:
            for path in task:
                yield path, -1

    def take(self, flush: bool) -> t.List[t.Any]:
        if self.copier and self.copier.pending:
            if not flush and not self.copier.full:
                return []
            try:
                self.copier.commit()
            except OSError as error:
                raise writing_failed(self.plan.pool, error) from error
            self._placed.clear()
        said, self.held = self.held, []
        return said

    def holds(self) -> bool:
        return bool(self.held)

    # --- one folder

    def visit(self, path: bytes, index: int) -> t.Optional[t.Tuple[int, int, t.Optional[bytes], t.List[bytes]]]:
        """None when nothing has changed; else the folder's times, its lines (None: it is gone) and folders below it."""
        place = self.plan.data + b"/" + path if path else self.plan.data
        try:
            info = os.stat(place)
        except FileNotFoundError:
            return 0, 0, None, []
        except OSError as error:
            self.problems.add(path + b"/", f"the folder cannot be read: {os_reason(error)}")
            return UNTRUSTED, 0, self._old(index), []
        modified, changed = info.st_mtime_ns, info.st_ctime_ns
        same = index >= 0 and self.state.modified[index] == modified and self.state.changed[index] == changed
        if same and not self.plan.full and self.plan.folder_times:
            return None
        if max(modified, changed) > time.time_ns() - DOUBT:
            modified = UNTRUSTED
        before = self.problems.count
        old = self._old(index)
        try:
            lines, below = self._list(place, path, old)
        except OSError as error:
            self.problems.add(path + b"/", f"the folder cannot be listed: {os_reason(error)}")
            return UNTRUSTED, 0, old, []
        if self.problems.count > before:
            modified = UNTRUSTED
        text = b"".join(line + b"\n" for line in sorted(lines))
        if same and text != old:
            self.counts["doubted"] += 1
        return modified, changed, text, below

    def _old(self, index: int) -> bytes:
        return self.state.lines(index) if index >= 0 else b""

    def _list(self, place: bytes, path: bytes, old: bytes) -> t.Tuple[t.List[bytes], t.List[bytes]]:
        self.counts["listed"] += 1
        plain: t.List[bytes] = []
        named: t.List[bytes] = []
        below: t.List[bytes] = []
        with os.scandir(place) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_file(follow_symlinks=False):
                    self._sort(path, name, plain, named)
                elif not entry.is_dir(follow_symlinks=False):
                    self.problems.add(path + b"/" + name, self._kind(place + b"/" + name))
                elif name.startswith(b".") or (not path and name == b"lost+found"):
                    self.counts["ignored"] += 1
                elif names.refusal(name):
                    self.problems.add(path + b"/" + name, f"refused, {names.refusal(name)}")
                else:
                    below.append(path + b"/" + name if path else name)
        known = old.splitlines()
        lines = self._plain(place, plain, set(known)) if plain else []
        if named:
            lines += self._named(place, named, {line.split(b"\t")[0]: line for line in known})
        return lines, below

    def _sort(self, path: bytes, name: bytes, plain: t.List[bytes], named: t.List[bytes]) -> None:
        if not self.plan.content_named and names.algorithm_of(name):
            plain.append(name)
        elif names.in_flight(name) or name.startswith(b"."):
            self.counts["ignored"] += 1
        elif names.refusal(name):
            self.problems.add(path + b"/" + name, f"refused, {names.refusal(name)}")
        else:
            named.append(name)

    @staticmethod
    def _kind(place: bytes) -> str:
        try:
            mode = os.lstat(place).st_mode
        except OSError as error:
            return f"refused, it cannot be looked at: {os_reason(error)}"
        kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
        return f"refused, {kinds.get(stat.S_IFMT(mode), 'a device')}, not a blob"

    # --- is it in the pool

    def _in_pool(self, name: bytes) -> bool:
        """Look for one name."""
        try:
            return stat.S_ISREG(os.lstat(self.plan.pool + b"/" + names.pool_path(name)).st_mode)
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _pool_listing(self, folder: bytes) -> t.Set[bytes]:
        """All names in one folder of the pool."""
        if folder != self._pool_folder:
            try:
                with os.scandir(self.plan.pool + b"/" + folder) as entries:
                    self._pool_names = {e.name for e in entries if e.is_file(follow_symlinks=False)}
            except FileNotFoundError:
                self._pool_names = set()
            self._pool_folder = folder
        return self._pool_names

    # --- copying

    def _plain(self, place: bytes, found: t.List[bytes], known: t.Set[bytes]) -> t.List[bytes]:
        """Blobs whose key is the digest of their bytes."""
        lines = []
        for key in sorted(found):
            if self.plan.full:
                held = key in self._pool_listing(names.folder_of(key, 2))
            else:
                held = key in known or self._in_pool(key)
            if held:
                self.counts["present"] += 1
            elif not self._copy_plain(place + b"/" + key, key):
                continue
            lines.append(key)
        return lines

    def _copy_plain(self, source: bytes, key: bytes) -> bool:
        try:
            if self.copier is None:
                self._count(os.lstat(source).st_size)
                return True
            if key in self._placed:
                return True
            digest, size = self.copier.copy(source, t.cast(str, names.algorithm_of(key)))
            if digest.encode() != key:
                self.copier.drop()
                raise SourceError(f"rotten: its bytes have the digest {digest}")
            self.copier.place(names.pool_path(key), size)
            self._placed.add(key)
            self._count(size)
            return True
        except (Vanished, FileNotFoundError):
            self.counts["vanished"] += 1
        except SourceError as error:
            self.problems.add(key, str(error))
        return False

    def _count(self, size: int) -> None:
        self.counts["copied"] += 1
        self.counts["bytes_copied"] += size

    def _named(self, place: bytes, found: t.List[bytes], known: t.Dict[bytes, bytes]) -> t.List[bytes]:
        """Blobs whose bytes can be others under the same key: the pool keeps them under their SHA-256."""
        lines = []
        for key in sorted(found):
            try:
                line = self._named_one(place + b"/" + key, key, known.get(key, b""))
            except (Vanished, FileNotFoundError):
                self.counts["vanished"] += 1
            except SourceError as error:
                self.problems.add(key, str(error))
            else:
                lines.append(line)
        return lines

    def _named_one(self, source: bytes, key: bytes, line: bytes) -> bytes:
        for _attempt in range(3):
            info = os.lstat(source)
            signature = b"%d.%d.%d.%d" % (info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
            if max(info.st_mtime_ns, info.st_ctime_ns) > time.time_ns() - DOUBT:
                signature = b"-"
            if line.endswith(b"\t" + signature) and signature != b"-" and self._in_pool(line.split(b"\t")[1]):
                self.counts["present"] += 1
                return line
            if self.copier is None:
                self._count(info.st_size)
                return b"\t".join((key, b"0" * 64, b"-"))
            sha = self._copy_named(source)
            after = os.lstat(source)
            if (after.st_ino, after.st_size, after.st_mtime_ns) == (info.st_ino, info.st_size, info.st_mtime_ns):
                return b"\t".join((key, sha, signature))
        raise SourceError("it changes while it is read, again and again")

    def _copy_named(self, source: bytes) -> bytes:
        copier = t.cast(Copier, self.copier)
        digest, size = hash_file(source, "sha256")
        sha = digest.encode()
        self.counts["bytes_read"] += size
        if sha in self._placed or self._in_pool(sha):
            self.counts["present"] += 1
            return sha
        digest, size = copier.copy(source, "sha256")
        sha = digest.encode()
        copier.place(names.pool_path(sha), size)
        self._placed.add(sha)
        self._count(size)
        return sha
