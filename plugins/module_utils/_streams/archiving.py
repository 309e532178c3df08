# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: unfinished work written into a set, so that a lost Kafka does not end a restore."""

from __future__ import annotations

import os
import typing as t

from .._io import now, sha256_file
from .._progress import Progress
from . import rights
from .archive import INDEX, codec, file_name, read_index, write_index
from .cluster import Cluster, Partition
from .copier import Event, Task
from .names import EMPTY
from .outcome import deleted
from .plan import Plan, from_cluster, lowest_only, refuse_gaps
from .snapshot import load
from .workers import Job, Workers, share


def _tasks(plan: Plan, accept_gaps: bool) -> list[Task]:
    return [
        Task(topic["name"], part["partition"], "", part["start"], part["end"], accept_gaps=accept_gaps)
        for topic in plan["topics"]
        for part in topic["partitions"]
        if not topic["empty"]
    ]


def _index(plan: Plan, streams: str, done: dict[Partition, dict[str, t.Any]]) -> dict[str, t.Any]:
    topics, gaps = [], list(plan["gaps"])
    for topic in plan["topics"]:
        parts = []
        for part in topic["partitions"]:
            key = (topic["name"], part["partition"])
            if key in done:
                name = file_name(*key) if part["start"] < part["end"] else None
                parts.append({**part, **done[key], "file": name})
                gaps += deleted(*key, done[key])
        topics.append({"name": topic["name"], "partitions": parts})
    return {
        "cluster_id": plan["cluster_id"],
        "prefix": plan["prefix"],
        "streams_sha256": sha256_file(streams),
        "codec": codec(),
        "gaps": gaps,
        "topics": topics,
    }


class Archiving:
    """The archive of one backup: each partition from the lowest position of its groups to the recorded end."""

    def __init__(self, settings: dict[str, t.Any], streams: str, folder: str, timeout: float, stall: float) -> None:
        self.settings, self.streams, self.folder = settings, streams, folder
        self.timeout, self.stall = timeout, stall
        self.done: dict[Partition, dict[str, t.Any]] = {}
        self.counts: dict[Partition, int] = {}
        self.beyond = 0

    def run(
        self,
        workers: Workers,
        count: int,
        progress: Progress,
        *,
        accept_gaps: bool,
        empty: t.Sequence[str],
        check: bool,
    ) -> dict[str, t.Any]:
        """Write it, or in check mode only read. Returns the task's result."""
        if os.path.exists(os.path.join(self.folder, INDEX)):
            return {"changed": False, **_result(read_index(self.folder, self.streams))}
        cluster = Cluster(self.settings, self.timeout)
        recorded = load(self.streams)
        names = [topic["name"] for topic in recorded["topics"]]
        rights.refuse(cluster.where, rights.topic_rights(cluster, names, rights.SOURCE))
        plan = lowest_only(from_cluster(cluster, recorded, None, empty or EMPTY, choice=None, have_positions=True))
        if not accept_gaps:
            what = f"Archive of topics on Kafka {cluster.where}"
            refuse_gaps(plan["gaps"], what, "Delete groups that nothing consumes with any more")
        if not check:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            os.chmod(self.folder, 0o700)
        tasks = _tasks(plan, accept_gaps)
        progress.update(0, sum(task.end - task.start for task in tasks), "streams archive")
        jobs = [self._job(part, recorded["prefix"], check) for part in share(tasks, count)]
        workers.run(jobs, lambda event: self._take(event, progress), progress.check)
        index = _index(plan, self.streams, self.done)
        if not check:
            write_index(self.folder, {**index, "written": now()})
        return {"changed": True, **_result(index), "beyond_cut_records": self.beyond}

    def _take(self, event: Event, progress: Progress) -> None:
        if event[0] == "done":
            self.done[(event[1], event[2])] = event[3]
        elif event[0] == "mark":
            self.counts[(event[1], event[2])] = event[3]
            progress.update(sum(self.counts.values()))
        elif event[0] == "beyond":
            self.beyond += event[1]

    def _job(self, tasks: list[Task], prefix: str, check: bool) -> Job:
        return Job(
            kind="count" if check else "archive",
            tasks=tasks,
            source=self.settings,
            target={},
            group=f"{prefix}platform-copy",
            timeout=self.timeout,
            stall=self.stall,
            archive="" if check else self.folder,
        )


def _result(index: dict[str, t.Any]) -> dict[str, t.Any]:
    topics = [
        {
            "source": topic["name"],
            "target": None,
            "empty": not topic["partitions"],
            "partitions": len(topic["partitions"]),
            "records": sum(part["records"] for part in topic["partitions"]),
            "bytes": sum(part["bytes"] for part in topic["partitions"]),
        }
        for topic in index["topics"]
    ]
    return {
        "phase": "archived",
        "topics": topics[:200],
        "topic_count": len(topics),
        "partitions": sum(topic["partitions"] for topic in topics),
        "records": sum(topic["records"] for topic in topics),
        "bytes": sum(topic["bytes"] for topic in topics),
        "groups": 0,
        "positions": 0,
        "missing_positions": [],
        "missing_position_count": 0,
        "gaps": index["gaps"][:20],
        "gap_count": len(index["gaps"]),
        "timestamps_altered": 0,
        "until": None,
        "beyond_cut_records": 0,
    }
