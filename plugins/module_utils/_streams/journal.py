# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the state file of a copy: whose topics they are, how far each partition is, what came out.

A topic cannot carry a mark of its own, so ownership is the target topic's id, kept here. Losing this file loses no
data: the target's topics are then refused, as anybody's are.
"""

from __future__ import annotations

import json
import os
import typing as t

from .._io import now, write_json
from .cluster import Partition
from .copier import Event, Task
from .errors import StreamsError
from .plan import Plan, wanted_positions

KIND = "nuxeo.platform/streams-copy"
MARKS = 16


class Journal:
    """The state of one copy, in memory and on disk. Without a path nothing is written (check mode)."""

    def __init__(self, path: t.Optional[str], inputs: t.Mapping[str, t.Any]) -> None:
        self.path = path
        self.inputs = dict(inputs)
        self.data: dict[str, t.Any] = {}
        self.dirty = False

    def load(self, inputs: t.Optional[t.Collection[str]] = None) -> bool:
        """Read an earlier run's state; False when there is none. Another copy's state is an error.

        :param inputs: which options make it this copy; all of them by default
        """
        if not self.path or not os.path.exists(self.path):
            return False
        try:
            with open(self.path, encoding="utf-8") as stream:
                data = json.load(stream)
        except (OSError, ValueError) as error:
            raise StreamsError(f"Reading of state file '{self.path}'", str(error), "Give another state file") from error
        if not isinstance(data, dict) or data.get("kind") != KIND or data.get("schema") != 1:
            raise StreamsError(
                f"Reading of state file '{self.path}'", "it is not a copy's state", "Give another state file"
            )
        compared = {*self.inputs, *data["inputs"]} if inputs is None else inputs
        differ = sorted(key for key in compared if self.inputs.get(key) != data["inputs"].get(key))
        if differ:
            raise StreamsError(
                f"Copy with state file '{self.path}'",
                f"the file is of a copy with other options ({', '.join(differ)})",
                "Run it with those that it was made with, or give it another target_prefix and state file; "
                "restore_streams_prefix of the role restore does both",
            )
        self.data = data
        return True

    def begin(self, plan: Plan, target: t.Optional[dict[str, str]]) -> None:
        """Keep the plan before the first change."""
        self.data = {
            "schema": 1,
            "kind": KIND,
            "inputs": self.inputs,
            "plan": plan,
            "target": target,
            "phase": "copying",
            "started": now(),
            "topics": {},
            "partitions": {},
        }
        self.save()

    def save(self) -> None:
        """Write the state, whole or not at all."""
        self.dirty = False
        if self.path:
            write_json(self.path, self.data)

    def tick(self) -> None:
        """Write it when there is something new."""
        if self.dirty:
            self.save()

    @property
    def plan(self) -> Plan:
        """What is copied."""
        return t.cast(Plan, self.data["plan"])

    @property
    def phase(self) -> str:
        """``copying``, ``copied`` (positions are next), ``finished`` or ``released``."""
        return str(self.data["phase"])

    def enter(self, phase: str) -> None:
        """Go on to the next phase."""
        self.data["phase"] = phase
        self.data[f"{phase}_at"] = now()
        self.save()

    # -- topics

    def topic(self, name: str) -> dict[str, t.Any]:
        """What is kept of one source topic: its target's name, id and settings."""
        return t.cast(t.Dict[str, t.Any], self.data["topics"].setdefault(name, {}))

    def forget(self, name: str) -> None:
        """A target topic is made anew: nothing of its content stands."""
        self.data["topics"].pop(name, None)
        for key in [key for key in self.data["partitions"] if key.rsplit("/", 1)[0] == name]:
            del self.data["partitions"][key]
        self.save()

    # -- partitions

    def partition(self, key: Partition) -> dict[str, t.Any]:
        """What is kept of one partition."""
        entry = self.data["partitions"].setdefault(f"{key[0]}/{key[1]}", {"marks": [], "translated": []})
        return t.cast(t.Dict[str, t.Any], entry)

    def take(self, event: Event) -> None:
        """Take in a worker's word."""
        if event[0] == "mark":
            _kind, topic, number, index, offset, translated, first, gap, altered = event
            entry = self.partition((topic, number))
            entry["marks"] = [*entry["marks"], [index, offset, gap, altered]][-MARKS:]
            entry.update(translated=translated, first=first)
        elif event[0] == "done":
            _kind, topic, number, report, translated = event
            self.partition((topic, number)).update(done=report, translated=translated, marks=[])
        elif event[0] == "verified":
            self.partition((event[1], event[2]))["verified"] = [event[3], event[4]]
        elif event[0] == "beyond":
            self.data["beyond"] = self.data.get("beyond", 0) + event[1]
        self.dirty = True

    def tasks(
        self, target_names: t.Mapping[str, str], there: t.Mapping[Partition, int], accept_gaps: bool
    ) -> list[Task]:
        """The partitions that are not done, each from where it can go on.

        :param there: how many records each target partition holds, by the source's name
        """
        positions = wanted_positions(self.plan["groups"])
        found = []
        for topic in self.plan["topics"]:
            for part in topic["partitions"]:
                key = (topic["name"], part["partition"])
                if topic["empty"] or "done" in self.partition(key):
                    continue
                task = Task(key[0], key[1], target_names[key[0]], part["start"], part["end"])
                task.until, task.accept_gaps = self.plan["until"], accept_gaps
                task.positions, task.there, task.need = positions.get(key, []), there.get(key, 0), part.get("need")
                self._resume(task, key)
                found.append(task)
        return found

    def _resume(self, task: Task, key: Partition) -> None:
        entry = self.partition(key)
        usable = [mark for mark in entry["marks"] if mark[0] <= task.there]
        if not task.there or not usable:
            return
        task.index, task.start, task.gap, task.altered = usable[-1]
        task.translated = [index for index in entry["translated"] if index < task.index]
        task.first = tuple(entry.get("first") or (None, None))
