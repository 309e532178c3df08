# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: from the pool to a blob store: what a set names, where it is missing or wrong."""

from __future__ import annotations

import contextlib
import errno
import itertools
import mmap
import os
import shutil
import tempfile
import typing as t

from .._io import remove_unfinished, replaced
from .._progress import Progress
from . import keylist, names, proof
from .copier import Copier, hash_file
from .disk import Volume
from .errors import SHOWN, BlobError, Problems, SourceError, Vanished, os_reason, writing_failed
from .lock import Lock
from .options import Options, Report
from .places import source_maker
from .pool import Outcome, Source
from .store import Store, read_config, settings
from .tally import BLOBS, BYTES, Tally
from .workers import Workers

CHUNK = 1024
TEMPORARY = ".nuxeo-platform-blobs.tmp"
COUNTS = ("copied", "bytes_copied", "present", "bytes_read")


class Target(t.NamedTuple):
    """Where blobs are delivered to, and whose they become."""

    data: bytes
    temporary: bytes
    depth: int
    uid: int
    gid: int
    folder_mode: int
    dry: bool


def give(descriptor: int, uid: int, gid: int) -> None:
    """Give a file or folder its owner and group; without root everything belongs to the one who runs it."""
    try:
        os.fchown(descriptor, uid, gid)
    except PermissionError:
        if os.geteuid() == 0:
            raise


def make_owned(path: bytes, fresh: bytes, uid: int, gid: int, mode: int) -> None:
    """Make a folder, under another name until it is whose it should be: nobody mends one that a killed run left."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(fresh, 0o700)
    descriptor = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        give(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    try:
        os.rename(fresh, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        os.rmdir(fresh)  # another worker has made it meanwhile, and filled it


class Deliverer:
    """A worker of a delivery. A task is a list of lines of a key list."""

    def __init__(self, target: Target, source: Source, number: int, tally: memoryview) -> None:
        self.target = target
        self.source = source
        self.tally = tally
        self.copier: t.Optional[Copier] = None
        if not target.dry:
            self.copier = Copier(target.data, target.temporary + b"/%d" % number, self._adopt)
            self.copier.make_folder = self._make_folder
        self.held: t.List[t.Tuple[int, t.Any]] = []
        """What was done, and the number of the group that must have its names before that is said."""

    def _adopt(self, descriptor: int) -> None:
        give(descriptor, self.target.uid, self.target.gid)
        os.fchmod(descriptor, self.target.folder_mode & 0o666)

    def _make_folder(self, path: bytes) -> None:
        if not os.path.isdir(path):
            fresh = t.cast(Copier, self.copier).temporary + b"/folder"
            make_owned(path, fresh, self.target.uid, self.target.gid, self.target.folder_mode)

    def handle(self, task: t.Any) -> None:
        counts = dict.fromkeys(COUNTS, 0)
        problems = Problems()
        wanted: t.List[t.Tuple[bytes, str]] = []
        entries: t.List[names.Entry] = []
        for line in task:
            entry = names.parse(line)
            algorithm = "sha256" if entry.sha256 else names.algorithm_of(entry.key)
            if algorithm is None or b"/" in entry.key or entry.key.startswith(b"."):
                problems.add(entry.key, "it is not the key of a blob that could be proven")
            elif self._right(self._path(entry), algorithm, entry.pool_name):
                counts["present"] += 1
            else:
                wanted.append((entry.pool_name, algorithm))
                entries.append(entry)
                continue
            self.tally[BLOBS] += 1
        if wanted:
            self._fetch(wanted, entries, counts, problems)
        group = self.copier.last if self.copier else -1
        self.held.append((group, (counts, problems.names, problems.count)))

    def _path(self, entry: names.Entry) -> bytes:
        folder = names.folder_of(entry.key, self.target.depth)
        return folder + b"/" + entry.key if folder else entry.key

    def _fetch(
        self,
        wanted: t.List[t.Tuple[bytes, str]],
        entries: t.List[names.Entry],
        counts: t.Dict[str, int],
        problems: Problems,
    ) -> None:
        turn = iter(entries)

        def took(name: bytes, said: Outcome) -> None:
            entry = next(turn)
            self.tally[BLOBS] += 1
            if isinstance(said, Vanished):
                problems.add(entry.key, "it is not in the pool")
            elif isinstance(said, SourceError):
                problems.add(entry.key, f"in the pool {said}")
            elif said[0].encode() != name:
                if self.copier:
                    self.copier.drop()
                problems.add(entry.key, f"in the pool its bytes have the digest {said[0]}")
            else:
                if self.copier:
                    self.copier.place(self._path(entry), said[1])
                    if self.copier.group.full:  # of large blobs a task holds more than a group
                        self.copier.advance()
                counts["copied"] += 1
                counts["bytes_copied"] += said[1]
                self.tally[BYTES] += said[1]

        try:
            self.source.fetch(wanted, self.copier, took)
        except OSError as error:
            raise writing_failed(self.target.data, error) from error

    def _right(self, path: bytes, algorithm: str, digest: bytes) -> bool:
        """Whether the store has these bytes already. Anything else at that place is replaced."""
        try:
            return hash_file(self.target.data + b"/" + path, algorithm)[0].encode() == digest
        except (Vanished, SourceError):
            return False

    def take(self, flush: bool) -> t.List[t.Any]:
        final = 0
        if self.copier:
            try:
                if flush:
                    self.copier.commit()
                else:
                    self.copier.advance()
            except OSError as error:
                raise writing_failed(self.target.data, error) from error
            final = self.copier.named
        said = [each for group, each in self.held if group < final]
        self.held = [each for each in self.held if each[0] >= final]
        return said

    def holds(self) -> bool:
        return bool(self.held)


class Delivery:
    """One way back. Use :meth:`run` once."""

    def __init__(self, options: Options, progress_path: t.Optional[str]) -> None:
        if not options.keys:
            raise BlobError("Delivery of blobs", "keys is not given", "Set keys to the list of the set")
        self.options = options
        self.progress_path = progress_path
        self.about = keylist.read_about(options.keys)
        self.report = Report()
        self.report.full_pass = True

    def run(self) -> Report:
        """Prove the list, then bring what is missing or wrong."""
        try:
            self._prove_list()
        except OSError as error:  # as large as the list of the set
            why = f"{os_reason(error)} in '{tempfile.gettempdir()}'"
            todo = "Make room there, or set TMPDIR to a folder that has it, then run again"
            raise BlobError(f"Proof of key list '{self.options.keys}'", why, todo) from error
        root = self.options.dest
        if self.options.check:
            if os.path.isdir(root):
                self._misleads(root)
            self._deliver(self._store(), b"", 0o700)
            return self._proven()
        try:
            mode = self._make_folders(root)
            store = self._store()
            with Lock(root, remove=True, name=".nuxeo-platform-blobs.lock"):
                temporary = os.path.join(root, "data", TEMPORARY)  # data may be a volume of its own
                shutil.rmtree(temporary, ignore_errors=True)
                os.mkdir(temporary, 0o700)
                try:
                    self._deliver(store, os.fsencode(temporary), mode)
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            raise writing_failed(os.fsencode(root), error) from error
        return self._proven()

    def _prove_list(self) -> None:
        """The list is that which was recorded, and names all that the database refers to: before the first change."""
        with tempfile.TemporaryFile(buffering=1 << 20) as stream:
            for line in keylist.read_lines(t.cast(str, self.options.keys)):
                stream.write(line + b"\n")
                self.report.keys += 1
            if not self.options.required:
                return
            stream.flush()
            text = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if self.report.keys else b""
            gone, self.report.foreign = proof.told_apart(proof.missing(text, self.options), self.options)
        self.report.missing = [names.shown(key) for key in gone[:SHOWN]]
        self.report.missing_count = len(gone)
        if gone:
            raise BlobError(
                f"Proof of key list '{self.options.keys}'",
                f"the database refers to {len(gone)} blobs that it does not name: {', '.join(self.report.missing)}",
                "Take another set",
                self.report.result(),
            )

    def _make_folders(self, root: str) -> int:
        """The store's folders and its config.xml; the mode of its folders."""
        info = self._whose(root)
        mode = info.st_mode & 0o2777  # a group that the store hands on is handed on
        for path in (root, os.path.join(root, "data")):
            missing = path
            made = []
            while not os.path.isdir(missing):
                made.append(missing)
                missing = os.path.dirname(missing)
            for folder in reversed(made):
                fresh = os.path.join(os.path.dirname(folder), TEMPORARY)
                make_owned(os.fsencode(folder), os.fsencode(fresh), info.st_uid, info.st_gid, mode)
        config, path = self._config, os.path.join(root, "config.xml")
        if self._misleads(root) or (config and not os.path.exists(path)):
            remove_unfinished(root, r"config\.xml")
            with replaced(path, mode & 0o666) as stream:
                give(stream.fileno(), info.st_uid, info.st_gid)
                stream.write(config.encode())
        return mode

    def _whose(self, root: str) -> os.stat_result:
        """Owner and mode that what is made gets, from the nearest folder that exists. A store that is made in a folder
        of another user, such as a volume of root's, is like the folder that is named for that.
        """
        above = root
        while not os.path.isdir(above):
            above = os.path.dirname(above)
        info = os.stat(above)
        if above == root or self.options.like is None:
            return info
        like = os.stat(self.options.like)
        return info if info.st_uid == like.st_uid else like

    @property
    def _config(self) -> str:
        """The config.xml of the set; empty when it has none."""
        return str(self.about.get("config_xml") or "")

    def _misleads(self, root: str) -> bool:
        """Whether the store's own config.xml says another depth than blobs are delivered to, and the set's that one."""
        kind, depth, path = str(self.about["kind"]), self.options.depth, os.path.join(root, "config.xml")
        own = read_config(root)
        if kind == "record" or depth is None or not (own or self._config):
            return False
        if settings(own or self._config, path, kind, None, None)[0] == depth:
            return False
        if own and self._config and settings(self._config, path, kind, None, None)[0] == depth:
            return True
        raise BlobError(
            f"Delivery of blobs to '{root}'",
            f"{'its' if own else 'their'} config.xml has another depth than {depth}, so Nuxeo would look elsewhere",
            f"Leave depth out{'' if self._config else ', or move that file away'}",
        )

    def _store(self) -> Store:
        """The target: its own config.xml counts, then that of the set."""
        root = self.options.dest
        config = (read_config(root) if os.path.isdir(root) else "") or self._config
        kind, depth = str(self.about["kind"]), self.options.depth
        if depth is None and not config and kind != "record":
            depth = int(self.about["depth"])
        path = os.path.join(root, "config.xml")
        found = settings(config, path, kind, depth, self.options.digest or self.about.get("digest"))
        return Store(root, os.fsencode(os.path.join(root, "data")), *found, config)

    def _deliver(self, store: Store, temporary: bytes, mode: int) -> None:
        try:
            info = os.stat(store.data) if not self.options.check else os.stat("/")
        except OSError as error:
            raise BlobError(f"Reading of blob store '{store.root}'", os_reason(error)) from error
        target = Target(store.data, temporary, store.depth, info.st_uid, info.st_gid, mode, self.options.check)
        progress = Progress(self.progress_path, f"blobs {self.options.provider}", unit="blobs")
        lines = keylist.read_lines(t.cast(str, self.options.keys))
        source = source_maker(self.options.src, self.options.rsh)
        volume = None if self.options.check else Volume(store.data)
        tally = Tally(self.options.workers)
        progress.counted = lambda: {
            "done": tally.sum(BLOBS),
            "total": self.report.keys,
            "bytes_copied": tally.sum(BYTES),
        }
        workers = Workers(self.options.workers, lambda number: Deliverer(target, source(), number, tally.of(number)))
        with workers, progress:
            workers.source = iter(lambda: list(itertools.islice(lines, CHUNK)), [])
            workers.meanwhile = progress.check  # as in a pass
            for counts, shown, problems in workers.results():
                self.report.add(counts)
                self.report.problems.merge(shown, problems)
                progress.check()
            if volume:
                volume.sync_names(())  # where that cannot be done for all at once, each commit has done it
                volume.close()

    def _proven(self) -> Report:
        problems = self.report.problems
        if problems.count:
            raise BlobError(
                f"Delivery of blobs to '{self.options.dest}'",
                f"{problems.count} blobs are missing or rotten in the pool: {problems.listed()}",
                "Verify the pool by blob_verify: then the next backup copies them again if the source still has them. "
                "Else take another set",
                self.report.result(),
            )
        return self.report
