# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what came out of a copy: a bounded result for the task, a report per partition as a
file."""

from __future__ import annotations

import typing as t

from .._io import now
from .journal import Journal

FEW = 20
TOPICS = 200


def partitions(journal: Journal, names: t.Mapping[str, str]) -> list[dict[str, t.Any]]:
    """One line per partition that was copied."""
    found = []
    for topic in journal.plan["topics"]:
        for part in topic["partitions"]:
            done = journal.partition((topic["name"], part["partition"])).get("done")
            if done is None and not topic["empty"]:
                continue
            line = {
                "source": topic["name"],
                "target": names[topic["name"]],
                "partition": part["partition"],
                "empty": topic["empty"],
            }
            found.append({**line, "start": part["start"], "end": part["end"], **(done or {"records": 0, "bytes": 0})})
    return found


def _by_topic(lines: t.Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The sums of each topic, sorted by the source's name."""
    topics: dict[str, dict[str, t.Any]] = {}
    for line in lines:
        kept = {key: line[key] for key in ("source", "target", "empty")}
        entry = topics.setdefault(line["source"], {**kept, "partitions": 0, "records": 0, "bytes": 0})
        entry["partitions"] += 1
        entry["records"] += line["records"]
        entry["bytes"] += line["bytes"]
    return sorted(topics.values(), key=lambda entry: str(entry["source"]))


def deleted(topic: str, partition: int, report: t.Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """The gap that came to be in a partition while it was copied."""
    if not report.get("gap"):
        return []
    start, end = report["gap"]
    found = {"topic": topic, "partition": partition, "from": start, "to": end, "records": end - start}
    return [{**found, "why": "deleted ahead of the reader"}]


def summary(journal: Journal, names: t.Mapping[str, str]) -> dict[str, t.Any]:
    """The task's result: totals, and at most a few of anything that could be many."""
    lines = partitions(journal, names)
    plan = journal.plan
    topics = _by_topic(lines)
    gaps = plan["gaps"] + [gap for line in lines for gap in deleted(line["source"], line["partition"], line)]
    return {
        "phase": journal.phase,
        "topics": topics[:TOPICS],
        "topic_count": len(topics),
        "partitions": len(lines),
        "records": sum(line["records"] for line in lines),
        "bytes": sum(line["bytes"] for line in lines),
        "groups": sum(1 for group in plan["groups"] if group["positions"]),
        "positions": sum(len(group["positions"]) for group in plan["groups"]),
        "missing_positions": plan["missing"][:FEW],
        "missing_position_count": len(plan["missing"]),
        "gaps": gaps[:FEW],
        "gap_count": len(gaps),
        "timestamps_altered": sum(line.get("timestamps_altered", 0) for line in lines),
        "until": plan["until_time"],
        "beyond_cut_records": journal.data.get("beyond", 0),
    }


def full(journal: Journal, names: t.Mapping[str, str]) -> dict[str, t.Any]:
    """The report file."""
    plan = journal.plan
    return {
        "schema": 1,
        "kind": "nuxeo.platform/streams-report",
        "written": now(),
        "phase": journal.phase,
        "source": {"cluster_id": plan["cluster_id"], "prefix": plan["prefix"]},
        "target": journal.data.get("target"),
        "until": plan["until_time"],
        "gaps": plan["gaps"],
        "missing_positions": plan["missing"],
        "dropped_settings": {
            name: entry["dropped"] for name, entry in journal.data["topics"].items() if entry.get("dropped")
        },
        "partitions": partitions(journal, names),
    }
