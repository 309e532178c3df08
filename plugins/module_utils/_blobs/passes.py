# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a pass over a store: all folders looked at, what is new copied to the pool, proven."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
import typing as t

from .._progress import Progress
from . import disk, keylist, proof
from . import state as states
from .copier import writing_failed
from .errors import BlobError
from .lock import Lock
from .names import shown
from .options import Options, Report
from .store import Store, open_store
from .visit import Plan, Visitor
from .workers import Workers

CHUNK = 512
GENERATION = ".generation"
"""Changed by whoever takes something out of the pool: the next pass then looks for every name."""


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def _place(path: bytes) -> t.List[int]:
    try:
        info = os.stat(path)
    except OSError:
        return []
    return [info.st_dev, info.st_ino]


def _read_small(path: str) -> str:
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read(100)
    except OSError:
        return ""


class Pass:
    """One pass. Use :meth:`run` once."""

    def __init__(self, options: Options, progress_path: t.Optional[str]) -> None:
        self.options = options
        self.progress_path = progress_path
        self.store: Store = open_store(options.src, options.depth, options.digest, options.accept_shrink)
        self.pool = os.fsencode(options.dest)
        self.report = Report()
        self.changed: t.Dict[bytes, t.Optional[states.Folder]] = {}
        self.known: t.Optional[t.Set[bytes]] = None
        self.began = time.time_ns()
        self.state_path = f"{options.state}.state" if options.state else ""
        self.state = states.load(self.state_path) if self.state_path else states.State()
        self.identity: t.Dict[str, t.Any] = {}

    # --- may the state be trusted

    def _identify(self) -> t.Dict[str, t.Any]:
        return {
            "src": _place(self.store.data),
            "dest": _place(self.pool),
            "boot": _boot_id(),
            "generation": _read_small(os.path.join(self.options.dest, GENERATION)),
            "kind": self.options.kind,
            "data": os.fsdecode(self.store.data),
        }

    def _is_full(self) -> bool:
        header = self.state.header
        if self.options.full or not header or header.get("identity") != self.identity:
            return True
        return bool(header["passes"] + 1 >= self.options.full_every or header["time"] > self.began)

    # --- the pass

    def run(self) -> Report:
        """Copy, prove, keep the state, write the set's list."""
        if self.options.check:
            self._look(b"")
            return self.report
        pool = self.options.dest
        try:
            os.makedirs(pool, mode=0o700, exist_ok=True)
            self._refuse_nesting()
            with Lock(pool):
                temporary = os.path.join(pool, ".tmp")
                shutil.rmtree(temporary, ignore_errors=True)
                self._write_generation()
                os.mkdir(temporary, 0o700)
                try:
                    self._look(os.fsencode(temporary))
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            raise writing_failed(self.pool, error) from error
        return self.report

    def _refuse_nesting(self) -> None:
        if _place(self.pool) and _place(self.pool) in (_place(self.store.data), _place(os.fsencode(self.store.root))):
            raise BlobError(
                f"Copy of blob store '{self.options.src}' to '{self.options.dest}'",
                "they are the same folder",
                "Let dest be a folder on another volume",
            )

    def _write_generation(self) -> None:
        path = os.path.join(self.options.dest, GENERATION)
        with contextlib.suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            os.write(descriptor, secrets.token_hex(8).encode())
            os.close(descriptor)

    def _look(self, temporary: bytes) -> None:
        self.identity = self._identify()
        self.report.full_pass = self._is_full()
        plan = Plan(
            data=self.store.data,
            pool=self.pool,
            temporary=temporary,
            content_named=self.options.kind != "digest",
            full=self.report.full_pass,
            folder_times=self.options.folder_times and self.options.kind != "record",
            dry=self.options.check,
        )
        progress = Progress(self.progress_path, f"blobs {self.options.provider}", unit="folders")
        workers = Workers(self.options.workers, lambda number: Visitor(plan, self.state, number))
        with workers, progress:
            self._visit_all(workers, progress)
            if disk.HAS_SYNCFS and self.report.counts.get("copied") and not self.options.check:
                disk.syncfs(self.pool)  # the names
            self._finish()

    def _visit_all(self, workers: Workers, progress: Progress) -> None:
        folders = len(self.state.paths)
        for first in range(0, folders, CHUNK):
            workers.queue.append((first, min(first + CHUNK, folders)))
        if not folders:
            workers.queue.append([b""])
        done, total = 0, max(folders, 1)
        for count, found, counts, names, problems in workers.results():
            self.report.add(counts)
            self.report.problems.merge(names, problems)
            fresh = self._take(found)
            for first in range(0, len(fresh), CHUNK // 4):
                workers.queue.append(fresh[first : first + CHUNK // 4])
            done += count
            total += len(fresh)
            progress.update(done, total)
            progress.check()
        self.report.folders = total

    def _take(self, found: t.Iterable[t.Any]) -> t.List[bytes]:
        """Keep what was found; return the folders that nobody knew."""
        fresh: t.List[bytes] = []
        for path, modified, changed, lines, below in found:
            self.changed[path] = None if lines is None else states.Folder(modified, changed, lines)
            if below and self.known is None:
                self.known = set(self.state.paths)
            fresh.extend(name for name in below if self.known is not None and name not in self.known)
        if self.known is not None:
            self.known.update(fresh)
        return sorted(fresh)

    # --- after the folders

    def _finish(self) -> None:
        listing = proof.Listing(self.state, self.changed, self.store.depth)
        with listing:
            self.report.keys = listing.count
            self._refuse_shrink(listing.count)
            if self.options.required:
                self._require(listing)
            if not self.options.check:
                self._keep_state(listing)
            if self.report.problems.count:
                raise BlobError(
                    f"Copy of blob store '{self.options.src}'",
                    f"{self.report.problems.count} could not be copied: {self.report.problems.listed()}",
                    "All others are in the pool. Mend or remove these, then run again",
                    self.report.result(),
                )
            if self.report.missing_count:
                raise BlobError(
                    f"Proof of blob store '{self.options.src}'",
                    f"the database refers to {self.report.missing_count} blobs that are neither there nor in the pool: "
                    + ", ".join(self.report.missing[:20]),
                    "Bring them back from an older backup, or remove their documents",
                    self.report.result(),
                )
            if self.options.set_keys and not self.options.check:
                self._write_set(listing)

    def _refuse_shrink(self, count: int) -> None:
        before = int(self.state.header.get("keys", 0))
        if count < 0.7 * before and not self.options.accept_shrink:
            raise BlobError(
                f"Copy of blob store '{self.options.src}'",
                f"it holds {count} blobs, at the last pass it held {before}",
                "Mount the volume, or set accept_shrink=true if they were really removed",
                self.report.result(),
            )

    def _require(self, listing: proof.Listing) -> None:
        wanted = proof.missing(listing, self.options)
        there, gone = proof.second_look(wanted, self.store, self.state, self.pool, self.options)
        listing.add(there)
        self.report.keys = listing.count
        self.report.missing = [shown(key) for key in gone[:20]]
        self.report.missing_count = len(gone)

    def _keep_state(self, listing: proof.Listing) -> None:
        if not self.state_path:
            return
        header = {
            "identity": self.identity,
            "keys": listing.count,
            "time": self.began,
            "passes": 0 if self.report.full_pass else self.state.header["passes"] + 1,
        }
        try:
            if self.changed or not self.state.header:
                states.write(self.state_path, self.state, self.changed, header)
            else:
                states.rewrite_header(self.state_path, self.state, header)
            self.state.header.update(header)
        except OSError as error:
            raise writing_failed(os.fsencode(self.state_path), error) from error

    def _write_set(self, listing: proof.Listing) -> None:
        about = {
            "provider": self.options.provider,
            "kind": self.options.kind,
            "digest": self.store.digest,
            "depth": self.store.depth,
            "config_xml": self.store.config,
            "keys": listing.count,
            "pool": f"blobs/{self.options.provider}",
        }
        said = keylist.write_list(t.cast(str, self.options.set_keys), about, listing.text, self._base())
        if self.state_path:
            states.write_base(self.state_path, said["base"].rpartition("/")[2])

    def _base(self) -> str:
        return states.read_base(self.state_path) if self.state_path else ""
