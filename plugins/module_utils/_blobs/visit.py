# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: folders of a store: what in them is new to the pool, and is copied."""

from __future__ import annotations

import typing as t

from . import names
from .copier import hash_file, look_at
from .errors import Changed, Problems, SourceError, Vanished, writing_failed
from .folders import COUNTS, Looker, Plan, Scan, changed_folders, lines_for, old_enough
from .pool import Shelf
from .spool import Rewriting, Span, Spool
from .state import UNTRUSTED, State
from .tally import BLOBS, BYTES, FOLDERS, LISTED
from .text import MANY, Sorter, by_many, position, release

AS_BEFORE = True
"""Said instead of where the lines of a folder are when everything is as the state has it."""


def _keys(lines: t.Iterable[bytes]) -> t.Set[bytes]:
    return {names.parse(line).key for line in lines}


def _text(lines: t.Iterable[bytes]) -> bytes:
    return b"\n".join([*sorted(lines), b""])


def _is_doubted(scan: Scan, text: bytes) -> bool:
    """Whether another time of the folder should have said that blobs came or went. A change of one does not."""
    return scan.same and text != scan.old and _keys(scan.lines) != _keys(scan.old.splitlines())


class Visitor(Looker):
    """Visits folders and copies what is new.

    A result is a tuple: folders, counts, problems, how many these are, and the seal of its file.
    """

    def __init__(self, plan: Plan, state: State, shelf: Shelf, spool: Spool, tally: memoryview) -> None:
        super().__init__(plan, state, spool, tally)
        self.shelf = shelf
        self.held: t.List[t.Tuple[int, t.List[t.Any]]] = []
        """What was found, until its group has its names: the number of that, and folders."""
        self.rejected: t.Dict[bytes, str] = {}

    # --- the worker's side

    def handle(self, task: t.Any) -> None:
        size = task[1] - task[0] if isinstance(task[0], int) else len(task)
        try:
            said = [each for scans in self._scans(task) for each in self._copy(scans)]
        except OSError as error:  # those of the source are caught where they happen
            raise writing_failed(self.plan.pool, error) from error
        told = [each for each in said if each[3] is not AS_BEFORE or each[4]]
        self.held.append((self.shelf.last, told))
        self.tally[FOLDERS] += size
        release(self.state.text)

    def _scans(self, task: t.Any) -> t.Iterator[t.List[Scan]]:
        """Folders of a task that may have changed; as many as can be copied together."""
        some: t.List[Scan] = []
        blobs = 0
        for path, index in self._folders(task):
            scan = self.look(path, index)
            self.tally[LISTED] += 1
            if scan is None:
                continue
            some.append(scan)
            blobs += MANY if scan.many else scan.blobs
            if blobs >= MANY:
                yield some
                some, blobs = [], 0
        yield some

    def _folders(self, task: t.Any) -> t.Iterator[t.Tuple[bytes, int]]:
        if isinstance(task[0], int):
            chosen: t.Sequence[int] = range(*task)
            if not self.plan.full and self.plan.folder_times:
                chosen = changed_folders(self.state, self.plan.data, *task)
            self.tally[LISTED] += task[1] - task[0] - len(chosen)
            for index in chosen:
                yield self.state.paths[index], index
        else:
            for path in task:
                yield path, -1

    def _said(self, scan: Scan, lines: Rewriting) -> t.List[t.Any]:
        where: t.Any = None
        if not scan.gone:
            as_before = scan.same and scan.sound and not scan.copied and scan.modified != UNTRUSTED and lines.same
            where = AS_BEFORE if as_before else lines.written()
        return [scan.path, scan.modified if scan.sound else UNTRUSTED, scan.changed, where, scan.below]

    def take(self, flush: bool) -> t.List[t.Any]:
        try:
            self.rejected.update(self.shelf.commit() if flush else self.shelf.advance())
        except OSError as error:
            raise writing_failed(self.plan.pool, error) from error
        if self.rejected:
            self._reject(self.rejected)
            self.rejected = {}
        seal = self.spool.flush()
        final = self.shelf.named
        rest = [each for each in self.held if each[0] >= final]
        if rest and len(rest) == len(self.held):
            return []
        folders = [folder for group, found in self.held if group < final for folder in found]
        said = (folders, self.counts, self.problems.names, self.problems.count, tuple(seal))
        self.held = rest
        self.counts = dict.fromkeys(COUNTS, 0)
        self.problems = Problems()
        return [said]

    def _reject(self, rejected: t.Dict[bytes, str]) -> None:
        """Take back lines of blobs that the far side found wrong."""
        for _group, folders in self.held:
            for folder in folders:
                if isinstance(folder[3], tuple):
                    folder[3] = self._without(rejected, folder)

    def _without(self, rejected: t.Dict[bytes, str], folder: t.List[t.Any]) -> Span:
        first = self.spool.end
        for line in self.spool.read(folder[3]):
            entry = names.parse(line)
            if entry.pool_name in rejected:
                self.problems.add(entry.key, rejected[entry.pool_name])
                self.counts["copied"] -= 1
                folder[1] = UNTRUSTED
            else:
                self.spool.write(line + b"\n")
        return self.spool.since(first)

    def holds(self) -> bool:
        return bool(self.held)

    # --- copying

    def _copy(self, scans: t.Sequence[Scan]) -> t.Iterator[t.List[t.Any]]:
        """Copy what is new in folders; what is to be said of each."""
        few = [scan for scan in scans if scan.many is None]
        self._copy_all(few)
        for scan in scans:
            lines = Rewriting(scan.before, self.spool)
            if scan.many:
                self._copy_slices(scan, scan.many, lines)
            elif scan.unread:
                lines.keep()
            elif not scan.gone:
                text = _text(scan.lines)
                lines.put(len(scan.before), text)
                self.counts["doubted"] += _is_doubted(scan, text)
            yield self._said(scan, lines)

    def _copy_slices(self, scan: Scan, keys: Sorter, lines: Rewriting) -> None:
        """What is in a folder of very many blobs, so many at a time."""
        at, doubted = 0, False
        for some in by_many(self._apart(keys)):
            upto = position(scan.before, some[-1], at)  # a tab, and nothing else, comes before the newline
            few = self._slice(scan, some, lines_for(some, scan.before, at, upto))
            self._copy_all([few])
            text = _text(few.lines)
            lines.put(upto, text)
            doubted = doubted or _is_doubted(few, text) or (scan.same and len(few.old) < upto - at)
            scan.sound, scan.copied = scan.sound and few.sound, scan.copied or few.copied
            release(scan.before)
            at = upto
        keys.close()
        doubted = doubted or (scan.same and at < len(scan.before))
        lines.put(len(scan.before), b"")
        self.counts["doubted"] += doubted

    def _slice(self, scan: Scan, keys: t.Iterable[bytes], old: bytes) -> Scan:
        few = Scan(scan.path, scan.place)
        few.same, few.old = scan.same, old
        for key in (line[:-1] for line in keys):
            plain = not self.plan.content_named and names.algorithm_of(key)
            (few.plain if plain else few.named).append(key)
        return few

    def _copy_all(self, scans: t.Sequence[Scan]) -> None:
        lacking = self._lacking(self._asked(scans))
        until = self.tally[BLOBS] + sum(scan.blobs for scan in scans)
        for scan in scans:
            before = self.counts["copied"]
            if scan.plain:
                self._plain(scan, lacking)
            if scan.named:
                self._named(scan, lacking)
            scan.copied = self.counts["copied"] > before
        self.tally[BLOBS] = until

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

    def _lacking(self, asked: t.List[bytes]) -> t.Set[bytes]:
        """All names of a pool's folder are asked for together only where those are the keys of the store's."""
        if not asked:
            return set()
        return self.shelf.lacking(asked, self.plan.full and not self.plan.content_named)

    def _plain(self, scan: Scan, lacking: t.Set[bytes]) -> None:
        """Blobs whose key is the digest of their bytes."""
        lines = scan.lines
        before, copy = scan.place + b"/", self.shelf.copy
        for key in sorted(scan.plain):
            if key not in lacking:
                self.counts["present"] += 1
                lines.append(key)
                continue
            try:
                self._count(copy(before + key, key, names.BY_LENGTH[len(key)]))
                self.tally[BLOBS] += 1  # those that are there already cost no time
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
        self.tally[BYTES] += size
        if self.shelf.full:
            self.rejected.update(self.shelf.advance())

    def _named(self, scan: Scan, lacking: t.Set[bytes]) -> None:
        """Blobs whose bytes can be others under the same key: the pool keeps them under their SHA-256."""
        known = {line.split(b"\t")[0]: line for line in scan.old.splitlines()}
        for key in sorted(scan.named):
            try:
                scan.lines.append(self._named_one(scan.place + b"/" + key, key, known.get(key, b""), lacking))
            except Vanished:
                self.counts["vanished"] += 1
            except SourceError as error:
                scan.sound = False
                self.problems.add(key, str(error))
            self.tally[BLOBS] += 1

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
