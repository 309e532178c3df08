# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the copy of an instance's topics under a new prefix, from the plan to the last
position."""

from __future__ import annotations

import dataclasses
import os
import time
import typing as t

from .._io import sha256_file
from .._progress import Progress
from . import groups, rights, topics
from .archive import read_index
from .cluster import Cluster, Partition
from .copier import Event, Mismatch, Task
from .errors import StreamsError
from .journal import Journal
from .names import matches
from .plan import Plan, from_archive, from_cluster, refuse_gaps, settle_out_of_range
from .preflight import LACKS, Preflight, ends_of
from .snapshot import Snapshot, check_sight, load, take
from .workers import Job, Workers, share

ATTEMPTS = 3
SETTLE = 0.5


@dataclasses.dataclass
class Request:
    """What the operator asked for. Settings are a client's, see connection.settings."""

    source: t.Optional[t.Dict[str, t.Any]]
    target: t.Dict[str, t.Any]
    source_prefix: str
    target_prefix: str
    state: t.Optional[str]
    streams: t.Optional[str] = None
    archive: t.Optional[str] = None
    until: t.Optional[int] = None
    positions: t.Optional[str] = None
    accept_gaps: bool = False
    include: t.Sequence[str] = ()
    exclude: t.Sequence[str] = ()
    empty: t.Sequence[str] = ()
    replication_factor: int = -1
    verify: bool = True
    codec: str = "none"
    workers: int = 2
    count: str = "records"
    """How check mode counts: ``records`` reads them, ``offsets`` tells how many there are at most."""
    timeout: float = 30.0
    stall: float = 300.0
    check: bool = False


class Copy:
    """One run. ``workers`` were forked before any client was made."""

    def __init__(self, request: Request, workers: Workers, progress: Progress) -> None:
        self.request, self.workers, self.progress = request, workers, progress
        self.source = Cluster(request.source, request.timeout) if request.source else None
        self.target = Cluster(request.target, request.timeout)
        self.changed = False
        self.counts: dict[Partition, int] = {}
        self.target_id = self.target.cluster_id()
        self.source_id = self.source.cluster_id() if self.source else ""
        if self.source_id == self.target_id and request.source_prefix == request.target_prefix:
            raise StreamsError(
                f"Copy of the topics with prefix '{request.source_prefix}'",
                "source and target are the same topics",
                "Give another target_prefix",
            )
        self.journal = Journal(request.state, self._inputs())
        self.archived = read_index(request.archive, str(request.streams)) if request.archive else None

    @property
    def target_prefix(self) -> str:
        """The new prefix."""
        return self.request.target_prefix

    @property
    def replication_factor(self) -> int:
        """Replicas of new topics."""
        return self.request.replication_factor

    def _inputs(self) -> dict[str, t.Any]:
        request = self.request
        return {
            "source": self.source_id,
            "target": self.target_id,
            "source_prefix": request.source_prefix,
            "target_prefix": request.target_prefix,
            "until": request.until,
            "streams": sha256_file(request.streams) if request.streams and os.path.exists(request.streams) else None,
            "archive": bool(request.archive),
            "positions": request.positions,
            "include": list(request.include),
            "exclude": list(request.exclude),
            "empty": list(request.empty),
        }

    # -- the plan

    def _recorded(self) -> Snapshot:
        request = self.request
        if request.streams:
            recorded = load(request.streams)
            if recorded["prefix"] != request.source_prefix:
                raise StreamsError(
                    f"Copy with '{request.streams}'",
                    f"it is of prefix '{recorded['prefix']}', not of '{request.source_prefix}'",
                    "Give that source_prefix, or another set",
                )
            # whose topics they are was settled at the backup, its include is not known here
            kept = [x for x in recorded["topics"] if not matches(x["name"][len(recorded["prefix"]) :], request.exclude)]
            return {**recorded, "topics": kept, "groups": _only(recorded["groups"], {x["name"] for x in kept})}
        if self.source is None:
            raise StreamsError("Copy of streams", "neither a source cluster nor a set is given", "Give one of them")
        check_sight(self.source, request.source_prefix)
        return take(self.source, request.source_prefix, request.include, request.exclude)

    def _plan(self) -> Plan:
        request = self.request
        recorded = self._recorded()
        if self.archived is not None:
            plan = from_archive(self.archived, recorded, request.empty)
            what, todo = f"Copy from archive '{request.archive}'", "Restore from Kafka or from another set"
        elif self.source is not None:
            names = [topic["name"] for topic in recorded["topics"]]
            rights.refuse(self.source.where, rights.topic_rights(self.source, names, rights.SOURCE))
            have = request.streams is not None
            plan = from_cluster(
                self.source, recorded, request.until, request.empty, choice=request.positions, have_positions=have
            )
            what, todo = f"Copy of topics on Kafka {self.source.where}", "Restore from an archive"
        if not request.accept_gaps:
            refuse_gaps(plan["gaps"], what, todo)
        return settle_out_of_range(plan, request.positions)

    def names(self) -> dict[str, str]:
        """The target's name of each source topic."""
        plan = self.journal.plan
        return {
            x["name"]: groups.renamed(x["name"], plan["prefix"], self.request.target_prefix) for x in plan["topics"]
        }

    # -- what speaks against it

    def _preflight(self) -> None:
        """All problems at once, before the first change."""
        check = Preflight.of(self)
        check.refuse(check.problems(self.names(), self.request.exclude, self._ours()))

    def _ours(self) -> t.Optional[groups.Positions]:
        if self.journal.phase == "copying":
            return None
        return groups.translate(self.journal, self.request.target_prefix)

    # -- the work

    def run(self) -> None:
        """All of it, from where an earlier run stopped."""
        if self.journal.load() and self.journal.phase in ("finished", "released"):
            self._still_there()
            return
        if not self.journal.data:
            plan = self._plan()
            self.journal.data = {"plan": plan, "phase": "copying", "topics": {}, "partitions": {}}
            self._preflight()
            self.changed = True
            if self.request.check:
                self._count()
                return
            self.journal.begin(plan, {"cluster_id": self.target_id, "prefix": self.request.target_prefix})
        else:
            self._preflight()
            self.changed = True
            if self.request.check:
                self._count()
                return
        self._copy_all()
        self._finish()

    def _still_there(self) -> None:
        """A finished copy is only then the same when its topics are."""
        names = self.names()
        existing = self.target.topics(sorted(names.values()))
        for source, name in names.items():
            entry = self.journal.topic(source)
            if name not in existing or existing[name].id != entry["id"]:
                raise StreamsError(
                    f"Copy with state file '{self.request.state}'",
                    f"it is finished, but topic '{name}' was deleted or made anew since",
                    "Remove the state file to copy again",
                )

    def _copy_all(self) -> None:
        for attempt in range(ATTEMPTS):
            try:
                self._create()
                self._copy()
                self._check_counts()
                self._verify()
                return
            except Mismatch as error:
                if attempt == ATTEMPTS - 1:
                    todo = "Make sure that nothing else writes to the new topics, then run again"
                    raise StreamsError(f"Copy of {error}", "it differs after several attempts", todo) from error
                self._again(error)

    def _again(self, found: Mismatch) -> None:
        """Give up one target topic of this copy's own, whose content is not what it has to be."""
        name = self.names()[found.topic]
        try:
            self.target.delete(name)
        except StreamsError as error:
            why = f"topic '{name}' has to be made anew, and cannot be deleted: {error.why}"
            todo = "Check the brokers and the right DELETE on it, then run again"
            raise StreamsError(f"Copy of {found}", why, todo) from error
        end = time.monotonic() + self.request.timeout
        while self.target.topics([name]) and time.monotonic() < end:
            time.sleep(0.2)
        self.journal.forget(found.topic)

    def _create(self) -> None:
        problems: list[str] = []
        topics.create_all(self.target, self.journal, self.names(), self.request.replication_factor, problems)
        missing = [] if problems else rights.topic_rights(self.target, sorted(self.names().values()), rights.TARGET)
        problems += [LACKS + right for right in missing]
        Preflight.of(self).refuse(problems)

    def _there(self) -> dict[Partition, int]:
        """How many records each target partition holds, by the source's name."""
        back = {name: source for source, name in self.names().items()}
        ends = ends_of(self.target, self.target.topics(sorted(back)))
        return {(back[name], number): end for (name, number), end in ends.items()}

    def _settled(self) -> dict[Partition, int]:
        """The same, once nothing comes any more from a run that was killed."""
        before = self._there()
        while any(before.values()):
            time.sleep(SETTLE)
            after = self._there()
            if after == before:
                break
            before = after
        return before

    def _job(self, kind: str, tasks: list[Task]) -> Job:
        request = self.request
        largest = max([topics.largest_message(x["configs"]) for x in self.journal.plan["topics"]] or [0])
        return Job(
            kind=kind,
            tasks=tasks,
            source=request.source or {},
            target=request.target,
            group=f"{request.source_prefix if kind != 'verify' else request.target_prefix}platform-copy",
            timeout=request.timeout,
            stall=request.stall,
            archive=request.archive or "",
            codec=request.codec,
            largest=largest,
        )

    def _run(self, kind: str, tasks: list[Task]) -> None:
        jobs = [self._job(kind, part) for part in share(tasks, self.request.workers)]
        self.counts = {(task.topic, task.partition): task.index for task in tasks}
        self.progress.update(0, sum(task.end - task.start for task in tasks), f"streams {kind}")
        try:
            self.workers.run(jobs, self._take, self._tick)
        finally:
            self.journal.save()

    def _take(self, event: Event) -> None:
        self.journal.take(event)
        if event[0] == "mark":
            self.counts[(event[1], event[2])] = event[3]
            self.progress.update(sum(self.counts.values()))

    def _tick(self) -> None:
        self.progress.check()
        self.journal.tick()

    def _tasks(self, there: dict[Partition, int]) -> list[Task]:
        return self.journal.tasks(self.names(), there, self.request.accept_gaps)

    def _copy(self) -> None:
        there = self._settled()
        self._run("copy", self._tasks(there))
        for topic in self.journal.plan["topics"]:
            for part in topic["partitions"]:
                report = self.journal.partition((topic["name"], part["partition"])).get("done")
                if report and part.get("expected") and report["sha256"] != part["expected"]:
                    raise StreamsError(
                        f"Copy of '{topic['name']}', partition {part['partition']}, from '{self.request.archive}'",
                        "its records are not those that were archived",
                        "Take another set",
                    )

    def _count(self) -> None:
        """Check mode: nothing is written, and the records are read, or counted by their offsets."""
        self.journal.path = None
        self.journal.data["partitions"] = {}
        if self.request.count == "offsets":
            for topic in self.journal.plan["topics"]:
                for part in () if topic["empty"] else topic["partitions"]:
                    done = {"records": part["end"] - part["start"], "bytes": 0}
                    self.journal.partition((topic["name"], part["partition"]))["done"] = done
            return
        self._run("count", self._tasks({}))

    def _done(self) -> dict[Partition, dict[str, t.Any]]:
        found = {}
        for topic in self.journal.plan["topics"]:
            for part in topic["partitions"]:
                key = (topic["name"], part["partition"])
                report = self.journal.partition(key).get("done")
                found[key] = report or {"records": 0}
        return found

    def _check_counts(self) -> None:
        """Every partition holds as many records as were wanted: none lost, none twice, none of anybody else."""
        wanted = {key: int(report["records"]) for key, report in self._done().items()}
        if self._there() == wanted:
            return
        there = self._settled()
        for key, records in sorted(wanted.items()):
            if there[key] != records:
                raise Mismatch(key[0], key[1], f"the target holds {there[key]} records of {records}")

    def _verify(self) -> None:
        """Read back what is not yet known to be right, and compare the digests."""
        if not self.request.verify:
            return
        tasks = [
            Task(key[0], key[1], self.names()[key[0]], 0, report["records"], there=report["records"])
            for key, report in sorted(self._done().items())
            if report["records"] and not self._is_verified(key)
        ]
        self._run("verify", tasks)
        for task in tasks:
            if not self._is_verified((task.topic, task.partition)):
                raise Mismatch(task.topic, task.partition, "what was read back has another digest")

    def _is_verified(self, key: Partition) -> bool:
        """Whether what was read back is what was copied; the state file has it also where it was not."""
        entry = self.journal.partition(key)
        return bool(entry.get("verified") == [entry["done"]["records"], entry["done"]["sha256"]])

    def _finish(self) -> None:
        names = [*topics.COPYING, "max.message.bytes"]
        topics.set_final(self.target, self.journal, names, self.request.replication_factor)
        if self.journal.phase == "copying":
            self.journal.enter("copied")
        wanted = groups.translate(self.journal, self.request.target_prefix)
        consumers = groups.target_names(self.journal.plan, self.request.target_prefix)
        Preflight.of(self).refuse(groups.check_free(self.target, consumers, set(self.names().values()), wanted))
        groups.commit(self.target, wanted)
        self.journal.enter("finished")


def _only(found: list[Snapshot], names: set[str]) -> list[Snapshot]:
    return [{**g, "positions": [p for p in g["positions"] if p["topic"] in names]} for g in found]
