# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a pass over a store: all folders looked at, what is new copied to the pool, proven."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
import time
import typing as t

from .._progress import Progress
from . import keylist, names, proof, records
from . import state as states
from .errors import BlobError, SourceError, Vanished, writing_failed
from .folders import Plan, changed_folders
from .home import above, boot_id, place
from .options import Options, Report
from .places import open_home, shelf_maker, source_maker
from .spool import Findings, Seal, Spool
from .store import Store, open_store
from .tally import FOLDERS, LISTED, Tally
from .text import by_many, unmap
from .visit import AS_BEFORE, Visitor
from .workers import Workers

CHUNK = 1024
"""Folders of a task: so many that their times are read while another process wakes up."""

FRESH = 256
"""Folders of a task when all of them are listed: those of one top folder, which the pool gets from one worker then."""


def _ranges(count: int, size: int) -> t.List[t.Tuple[int, int]]:
    """Numbers of folders, in ranges of a size."""
    return [(first, min(first + size, count)) for first in range(0, count, size)]


class Pass:
    """One pass. Use :meth:`run` once."""

    def __init__(self, options: Options, progress_path: t.Optional[str]) -> None:
        self.options = options
        self.progress_path = progress_path
        self.store: Store = open_store(options.src, options.kind, options.depth, options.digest, options.accept_shrink)
        self.home = open_home(options.dest, options.rsh)
        self.report = Report()
        self.known: t.Optional[t.Set[bytes]] = None
        self.began = time.time_ns()
        self.state_path = f"{options.state}.state" if options.state else ""
        self.state = states.load(self.state_path) if self.state_path else states.State()
        self.identity: t.Dict[str, t.Any] = {}
        self.ranges = _ranges(len(self.state.paths), CHUNK)
        """Of folders, in which some may have changed."""

    # --- may the state be trusted

    def _identify(self, found: t.Dict[str, t.Any]) -> None:
        source = [each for each in (place(self.store.data), place(os.fsencode(self.store.root))) if each]
        if found["boot"] == boot_id():  # of this host, whichever way it is reached
            self._refuse_overlap(source, found)
        self.identity = {
            "src": place(self.store.data),
            "dest": found["place"],
            "boot": boot_id(),
            "generation": found["generation"],
            "kind": self.options.kind,
            "paths": states.digest_of(self.store.data, os.fsencode(self.options.dest)),
        }

    def _refuse_overlap(self, source: t.List[t.List[int]], found: t.Dict[str, t.Any]) -> None:
        why = ""
        if found["place"] in source:
            why = "they are the same folder"
        elif any(each in found["above"] for each in source):
            why = "the pool is inside the store"
        elif found["place"] in above(self.store.data):
            why = "the store is inside the pool"
        if why:
            what = f"Copy of blob store '{self.options.src}' to '{self.options.dest}'"
            raise BlobError(what, why, "Let dest be a folder on another volume")

    def _is_due(self) -> bool:
        """Whether a full pass is, wherever the pool is."""
        header = self.state.header
        if self.options.full or not header:
            return True
        return bool(header["passes"] + 1 >= self.options.full_every or header["time"] > self.began)

    def _is_full(self) -> bool:
        return self._is_due() or self.state.header.get("identity") != self.identity

    @property
    def _by_times(self) -> bool:
        return self.options.folder_times and self.options.kind != "record"

    def _look_ahead(self) -> None:
        """Ask for the times of folders while ssh connects: most ranges hold none that has changed."""
        if self._is_due() or not self._by_times:
            return
        for first, end in list(self.ranges):
            if not self.home.connecting:
                return
            if not changed_folders(self.state, self.store.data, first, end):
                self.ranges.remove((first, end))

    # --- the pass

    def run(self) -> Report:
        """Copy, prove, keep the state, write the set's list."""
        try:
            self._look_ahead()
            self._identify(self.home.look())
            if not self.options.check:
                self._identify(self.home.begin())
                if self.state_path:
                    with self._writing_state():
                        os.makedirs(os.path.dirname(self.state_path), mode=0o700, exist_ok=True)
            self._look()
        except OSError as error:
            raise writing_failed(os.fsencode(self.options.dest), error) from error
        finally:
            self.home.end()
        return self.report

    def _look(self) -> None:
        self.report.full_pass = self._is_full()
        plan = Plan(
            data=self.store.data,
            pool=os.fsencode(self.options.dest),
            content_named=self.options.kind != "digest",
            full=self.report.full_pass,
            folder_times=self._by_times,
        )
        shelf = shelf_maker(self.options.dest, self.options.rsh, self.options.check)
        progress = Progress(self.progress_path, f"blobs {self.options.provider}", unit="folders")
        tasks = self._tasks(plan)
        with contextlib.ExitStack() as stack:
            with self._writing_state():
                working = stack.enter_context(self._working_folder())
            changes = Findings(working)
            stack.callback(changes.close)
            jobs = self.options.workers if tasks else 0
            tally = self._tally(jobs, tasks)
            progress.counted = lambda: tally.of_folders(self.report.folders)
            workers = Workers(
                jobs,
                lambda number: Visitor(plan, self.state, shelf(number), Spool(working, number), tally.of(number)),
            )
            with workers, progress:
                workers.queue.extend(tasks)
                self._visit_all(workers, progress, changes)
                workers.close()
                self._finish(changes)

    def _working_folder(self) -> t.ContextManager[str]:
        folder = os.path.dirname(self.state_path) if self.state_path and not self.options.check else ""
        return proof.working_folder(folder, f".{os.path.basename(self.state_path) or 'blobs'}.")

    def _tasks(self, plan: Plan) -> t.List[t.Any]:
        """The folders to be looked at: numbers of those of the state, paths of others."""
        every = plan.full or not plan.folder_times
        tasks: t.List[t.Any] = [*(_ranges(len(self.state.paths), FRESH) if every else self.ranges)]
        if self.state.paths[:1] != [b""]:  # also of a state whose pass did not see it for a moment
            tasks.append([b""])
        return tasks

    def _tally(self, jobs: int, tasks: t.List[t.Any]) -> Tally:
        """What is counted. Folders that were looked at while ssh connected are done."""
        self.report.folders = len(self.state.paths) + ([b""] in tasks)
        tally = Tally(jobs)
        left = sum(len(task) if task == [b""] else task[1] - task[0] for task in tasks)
        tally.own[FOLDERS] = tally.own[LISTED] = self.report.folders - left
        return tally

    def _visit_all(self, workers: Workers, progress: Progress, changes: Findings) -> None:
        def meanwhile() -> None:
            self.home.ping()
            progress.check()  # a task of large blobs takes long, and who has taken this run's place waits for the lock

        workers.meanwhile = meanwhile
        for found, counts, shown, problems, seal in workers.results():
            self.report.add(counts)
            self.report.problems.merge(shown, problems)
            changes.seal(Seal(*seal))
            fresh = self._take(changes, found)
            self.report.folders += len(fresh)
            for first in range(0, len(fresh), FRESH):
                workers.queue.append(fresh[first : first + FRESH])
            progress.check()

    def _take(self, changes: Findings, found: t.Iterable[t.Any]) -> t.List[bytes]:
        """Keep what was found; return the folders that nobody knew."""
        fresh: t.List[bytes] = []
        for path, modified, changed, lines, below in found:
            if lines is not AS_BEFORE:
                changes.keep(path, None if lines is None else (modified, changed, lines))
            if below and self.known is None:
                self.known = set(self.state.paths)
            fresh.extend(name for name in below if self.known is not None and name not in self.known)
        if self.known is not None:
            self.known.update(fresh)
        return sorted(fresh)

    # --- after the folders

    def _finish(self, changes: Findings) -> None:
        draft, state = None, self.state
        with contextlib.ExitStack() as stack:
            with self._writing_state():
                if not self.report.full_pass and (changes or self.options.set_keys):
                    self._prove_state()
                if changes or not self.state.header:
                    regular = proof.in_order(self.store.depth)
                    draft = stack.enter_context(states.Draft(changes.folder, self.state, changes, regular))
                    changes.close()
                    state = draft.read()
                    stack.callback(unmap, state.text)
                listing = proof.Listing(state, self.store.depth, changes.folder)
            self._conclude(listing, draft, state)

    @contextlib.contextmanager
    def _writing_state(self) -> t.Iterator[None]:
        """An error meanwhile is one of the state's volume, not of the pool's."""
        try:
            yield
        except OSError as error:
            where = self.state_path if self.state_path and not self.options.check else tempfile.gettempdir()
            raise writing_failed(os.fsencode(where), error) from error

    def _prove_state(self) -> None:
        """What is taken over from the last pass is what that has found; a full pass takes nothing over unseen."""
        if states.is_whole(self.state):
            return
        if not self.options.check:
            os.unlink(self.state_path)
        raise BlobError(
            f"Reading of the state '{self.state_path}'",
            "it is not what the last pass has written",
            "Check its volume, and run again: without it every folder is looked at",
        )

    def _conclude(self, listing: proof.Listing, draft: t.Optional[states.Draft], state: states.State) -> None:
        try:
            self.report.keys = listing.count
            self._refuse_shrink(listing.count)
            back: t.Set[bytes] = set()
            if self.options.required:
                back = self._require(listing)
                if self.options.record_digests and self.options.kind == "record" and not self.options.check:
                    late = (key for key in records.touched(self.state, state) if key not in back)
                    self._settle_records(listing, itertools.chain(back, late))
            if not self.options.check:
                if self.report.counts.get("copied") or self.report.counts.get("present") or back:
                    self.home.sync()  # of this run, or of one that was killed before it came to that
                    self.identity["generation"] = self.home.look()["generation"]
                self._keep_state(draft, listing.count)
            self._tell()
            if self.options.set_keys and not self.options.check:
                self._write_set(listing, self.options.set_keys)
        finally:
            listing.close()

    def _refuse_shrink(self, count: int) -> None:
        before = int(self.state.header.get("keys", 0))
        if self.options.set_keys:  # a head start without a state has only what it found
            before = max(before, keylist.last_count(self.options.set_keys))
        if before and 10 * count <= 7 * before and not self.options.accept_shrink:
            raise BlobError(
                f"Copy of blob store '{self.options.src}'",
                f"it holds {count} blobs, at the last pass it held {before}",
                "Mount the volume, or set accept_shrink=true if they were really removed",
                self.report.result(),
            )

    def _require(self, listing: proof.Listing) -> t.Set[bytes]:
        """Look again for what the database refers to and the listing lacks: in the pool, then in the store itself.

        Returns what was found: nobody can say whether the bytes of the keys of the pool have changed before they went,
        nor whether those that came late are what the dump means.
        """
        with self._writing_state():
            wanted = proof.missing(listing.text, self.options, listing.folder)
        content_named = self.options.kind != "digest"
        known = proof.pool_lines(wanted, self.state, content_named)
        lacking = self.home.lacking([name for _line, name in known])
        there = [line for line, name in known if name not in lacking]
        held = {names.parse(line).key for line in there}
        back = set(held)
        fetched = self._fetch([key for key in wanted if key not in held])
        back |= {names.parse(line).key for line in fetched}
        there += fetched
        with self._writing_state():
            listing.add(sorted(there))
        held = {names.parse(line).key for line in there}
        gone, self.report.foreign = proof.told_apart([key for key in wanted if key not in held], self.options)
        self.report.keys = listing.count
        self.report.missing = [names.shown(key) for key in gone[:20]]
        self.report.missing_count = len(gone)
        return back

    def _settle_records(self, listing: proof.Listing, doubtful: t.Iterable[bytes]) -> None:
        """Of records that have changed since the head start the set names the bytes that the dump means."""
        own = self.options.provider.encode() + b":"
        path = t.cast(str, self.options.record_digests)
        source, older = None, {}
        for some in by_many(doubtful):
            now = listing.names_of(some)
            digests = records.meant(path, now, own, self.options.default_provider) if now else {}
            if not digests:
                continue
            source = source or source_maker(self.options.dest, self.options.rsh)()
            found, wrong = records.settle(source, now, lambda keys: proof.earlier(keys, self.state), digests)
            older.update(found)
            for key in wrong:
                self.report.problems.add(key, records.REPLACED)
        with self._writing_state():
            listing.add([key + b"\t" + sha for key, sha in sorted(older.items())], over=True)
        self.report.superseded = len(older)

    def _fetch(self, wanted: t.List[bytes]) -> t.List[bytes]:
        """Blobs that came while the pass ran, into folders that it had listed already."""
        found: t.List[bytes] = []
        wanted = [key for key in wanted if b"/" not in key and not names.refusal(key)]
        wanted = [key for key in wanted if os.path.isfile(proof.file_of(self.store.data, key, self.store.depth))]
        if not wanted:
            return found
        shelf = shelf_maker(self.options.dest, self.options.rsh, self.options.check)(10_000)
        for key in wanted:
            source = proof.file_of(self.store.data, key, self.store.depth)
            algorithm = names.algorithm_of(key)
            try:
                if self.options.kind == "digest" and algorithm:
                    size = shelf.copy(source, key, algorithm)
                    found.append(key)
                else:
                    sha, size = shelf.store(source)
                    found.append(key + b"\t" + sha)
            except (Vanished, SourceError):
                continue  # named as missing
            self.report.add({"copied": 1, "bytes_copied": size})
        wrong = {name for name, _why in shelf.commit()}
        return [line for line in found if names.parse(line).pool_name not in wrong]

    def _keep_state(self, draft: t.Optional[states.Draft], count: int) -> None:
        if not self.state_path:
            return
        header = {
            "identity": self.identity,
            "keys": count,
            "time": self.began,
            "passes": 0 if self.report.full_pass else self.state.header["passes"] + 1,
        }
        with self._writing_state():
            if draft is not None:
                draft.publish(self.state_path, header)
            else:
                states.rewrite_header(self.state_path, self.state, header)

    def _tell(self) -> None:
        """Raise what was wrong, now that everything else is safe."""
        problems = self.report.problems
        if problems.count:
            raise BlobError(
                f"Copy of blob store '{self.options.src}'",
                f"{problems.count} could not be copied: {problems.listed()}",
                f"All others are in the pool. {problems.todo}, then run again",
                self.report.result(),
            )
        if self.report.missing_count:
            raise BlobError(
                f"Proof of blob store '{self.options.src}'",
                f"the database refers to {self.report.missing_count} blobs that are neither there nor in the pool: "
                + ", ".join(self.report.missing),
                "Bring them back from an older backup, or remove their documents",
                self.report.result(),
            )

    def _write_set(self, listing: proof.Listing, prefix: str) -> None:
        about = {
            "provider": self.options.provider,
            "kind": self.options.kind,
            "digest": self.store.digest,
            "depth": self.store.depth,
            "config_xml": self.store.config,
            "keys": listing.count,
            "pool": self.options.dest
            if self.home.remote
            else f"blobs/{os.path.basename(os.path.normpath(self.options.dest))}",
        }
        base = states.read_base(self.state_path) if self.state_path else ""
        try:
            said = keylist.write_list(prefix, about, listing.text, base)
            if self.state_path:
                states.write_base(self.state_path, os.path.basename(said["base"]))
        except OSError as error:
            raise writing_failed(os.fsencode(prefix), error) from error
