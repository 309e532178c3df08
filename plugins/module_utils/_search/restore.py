# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: indices back from a snapshot, seen by nobody until they are whole.

Each index is restored beside its name, as ``<target>-r<digest>``, and stays there: the target's name becomes an alias.
One call to ``_aliases`` moves all aliases, and removes the indices that stood under these names, in one change of the
cluster's state. Nothing else is atomic on all engines: an index cannot be renamed, and a second restore under the final
name or a clone (which 5 and 6 lack) is visible before it is whole, and leaves a time with no index at all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
import typing as t

from . import indices, repository, rights, sequences, snapshot
from .client import Client, path
from .engine import Engine, why_not_restorable
from .errors import Lost, SearchError, refused
from .preflight import raise_all
from .trim import count_newer, trim
from .wait import Deadline

_KEEPING = ("read_only", "read_only_allow_delete")
"""Blocks with which an index can neither lose its alias nor be removed in favour of another."""
_STUCK = 15.0
"""Seconds without any shard on its way before the engine is asked why."""


@dataclasses.dataclass
class Item:
    """One index of the snapshot on its way.

    :param target: the name asked for
    :param aliases: all names under which it is found at the end, each with what its alias has, such as a filter
    :param documents: what the set recorded
    :param sequences: numbers given before the snapshot, as far as they are known; None where the index holds none
    :param audit: whether the index holds audit entries that are numbered by one of these sequences
    """

    source: str
    target: str
    aliases: dict[str, dict[str, t.Any]]
    documents: indices.Documents | None = None
    created: int | None = None
    trim_field: str = ""
    sequences: dict[str, int] | None = None
    audit: bool = False
    index: str = ""
    count: int = 0
    trimmed: int = 0

    @property
    def names(self) -> list[str]:
        return [self.target, *sorted(set(self.aliases) - {self.target})]


@dataclasses.dataclass
class Request:
    """Everything that a restore is told.

    :param uuid: of the snapshot that the set names
    :param cluster: uuid of the cluster that made it
    """

    repository: str
    name: str
    items: list[Item]
    uuid: str = ""
    cluster: str = ""
    overwrite: bool = False
    newer_than: int | None = None
    index_settings: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    ignore_index_settings: list[str] = dataclasses.field(default_factory=list)


def _is_whole(state: t.Mapping[str, t.Any]) -> bool:
    return bool(state["active_primary_shards"] == state["number_of_shards"])


def _first_name(index: str) -> str:
    """The name that an index would have, had none of that name been there."""
    return re.sub(r"(-r[0-9a-f]{8})-\d+$", r"\1", index)


class Restore:
    """One restore, step by step. Before :meth:`swap` nothing of it can be found under a target's name."""

    def __init__(self, client: Client, engine: Engine, request: Request, deadline: Deadline) -> None:
        self.client = client
        self.engine = engine
        self.request = request
        self.deadline = deadline
        self.what = f"Restore of snapshot '{request.name}' from repository '{request.repository}' on {client.where}"
        self.standing: dict[str, dict[str, dict[str, t.Any]]] = {}
        self.leftovers: list[str] = []
        self.made: set[str] = set()
        self.written_by_two = False
        self.foreign = request.cluster not in ("", engine.cluster_uuid)

    # -- before the first change

    def plan(self) -> bool:
        """Look at everything. False when the indices are there already, from this snapshot and unchanged."""
        found = self._snapshot()
        items = self.request.items
        written = any(item.trim_field or item.sequences is not None for item in items)
        place, sources = (self.request.repository, self.request.name), {item.target: item.source for item in items}
        problems = rights.for_restore(self.client, self.engine, place, sources, written=written)
        problems += self._unreadable(found)
        seed = found["uuid"] or found["name"]
        for item in self.request.items:
            digest = hashlib.sha256(f"{seed}/{item.source}".encode()).hexdigest()[:8]
            item.index = f"{item.target}-r{digest}"
            for name in item.names:
                self.standing[name] = indices.behind(self.client, name)
        raise_all(self.what, problems, "Nothing was changed")
        if all(self._is_back(item) for item in self.request.items):
            return False
        if not self.request.overwrite:
            problems = [self._stands(name) for name, there in sorted(self.standing.items()) if there]
            raise_all(
                self.what, problems, "Nothing was changed. Choose other names, or set restore_overwrite (overwrite)"
            )
        raise_all(self.what, self._blocked(), "Nothing was changed. Lift these blocks, then run again")
        raise_all(self.what, self._crowded(), "Nothing was changed. Make room, then run again")
        for item in self.request.items:
            self._choose_name(item)
        return True

    def _snapshot(self) -> dict[str, t.Any]:
        definition = repository.must(self.client, self.request.repository)
        self.written_by_two = self.foreign and not repository.is_readonly(definition)
        found = snapshot.find(self.client, self.request.repository, self.request.name)
        if found is None:
            why = "there is no such snapshot in it; where there should be one, the repository's catalogue may be lost"
            raise SearchError(self.what, why, "See nuxeo.platform.es_snapshot_info for those that are there")
        return found

    def _unreadable(self, found: dict[str, t.Any]) -> list[str]:
        problems = []
        if self.written_by_two:
            problems.append("another cluster writes the repository, and it is not readonly here: both would damage it")
        if self.request.uuid and found["uuid"] != self.request.uuid:
            problems.append(f"the snapshot of that name is not the one of the set ({found['uuid']})")
        if found["state"] != "SUCCESS" or found["shards"]["failed"]:
            problems.append(f"the snapshot is {found['state']}, {found['shards']['failed']} shards failed")
        for item in self.request.items:
            if item.source not in found["indices"]:
                problems.append(
                    f"index '{item.source}' is not in it (it holds {', '.join(found['indices']) or 'none'})"
                )
            why = why_not_restorable(self.engine, found, item.created)
            if why and why not in problems:
                problems.append(why)
        return problems

    def _stands(self, name: str) -> str:
        there = self.standing[name]
        if list(there) == [name]:
            return f"an index '{name}' exists"
        return f"an alias '{name}' exists, for {', '.join(there)}"

    def _blocked(self) -> list[str]:
        """Indices under the names that their engine would not give away in the end."""
        problems = []
        for index in sorted({index for there in self.standing.values() for index in there}):
            blocks = indices.describe(self.client, index)["settings"].get("blocks", {})
            held = [name for name in _KEEPING if str(blocks.get(name)).lower() == "true"]
            problems += [f"index '{index}' is kept as it is by its setting index.blocks.{name}" for name in held]
        return problems

    def _crowded(self) -> list[str]:
        """What is restored lies beside what it replaces for a while; replicas come later, or not at all."""
        sizes = snapshot.sizes_of(self.client, self.request.repository, self.request.name)
        needed, free = sum(sizes.get(item.source, 0) for item in self.request.items), indices.free_bytes(self.client)
        if free is None or needed <= free:
            return []
        return [f"{needed} bytes are restored, and {free} are free on all nodes that hold data"]

    def _is_back(self, item: Item) -> bool:
        """Whether an earlier restore of this snapshot is what stands under the item's names, with what it had then.

        What may be replaced stays only when its number is known: else it may hold what was written since, or lack some.
        """
        trimmed = self.request.newer_than is not None and item.trim_field
        if self.request.overwrite and (trimmed or item.documents is None or item.documents.exact is None):
            return False
        siblings = {_first_name(other.index) for other in self.request.items if other.target == item.target}
        there = self.standing[item.target]
        family = {_first_name(index): index for index in there}
        if set(family) != siblings or not all(family[item.index] in self.standing[alias] for alias in item.aliases):
            return False
        number = indices.count(self.client, family[item.index])
        if self.request.newer_than is not None and item.trim_field:
            if count_newer(self.client, family[item.index], item.trim_field, self.request.newer_than):
                return False
            same = item.documents is None or number <= item.documents.at_most
        else:
            same = item.documents is None or item.documents.admits(number)
        item.index, item.count = (family[item.index], number) if same else (item.index, 0)
        return same

    def _choose_name(self, item: Item) -> None:
        """A free name. What a killed run has left under it, and no alias leads to, goes first."""
        item.index = plain = _first_name(item.index)  # which is another's where that is back, and not all are
        number = 1
        while True:
            there = indices.behind(self.client, item.index)
            if not there:
                return
            if list(there) == [item.index] and not there[item.index]:
                self.leftovers.append(item.index)
                return
            number += 1
            item.index = f"{plain}-{number}"

    # -- beside the names

    def run(self, beat: snapshot.Beat) -> None:
        """Restore beside the names, wait, compare, trim. On failure what was made is removed again."""
        for name in self.leftovers:
            indices.remove(self.client, name)
        try:
            for item in self.request.items:
                self._start(item)
            self._wait(beat)
            for item in self.request.items:
                self._check(item)
            self._raise_sequence()
            for item in self.request.items:
                self._trim(item)
        except BaseException:
            for index in sorted(self.made):
                with contextlib.suppress(SearchError):  # the first failure is the one to tell
                    indices.remove(self.client, index)
            raise

    def _start(self, item: Item) -> None:
        left = [*self.request.ignore_index_settings, *(rights.OF_THE_NODES if self.foreign else ())]
        body = rights.restore_body(item.source, item.index, left)
        if self.request.index_settings:
            body["index_settings"] = self.request.index_settings
        target = path("_snapshot", self.request.repository, self.request.name, "_restore")
        while True:
            try:
                answer = self.client.call("POST", target, body)
            except Lost as lost:
                self.made.add(item.index)  # perhaps: from now on what is there of that name is taken for ours
                if indices.behind(self.client, item.index):
                    return
                if self.deadline.expired:
                    raise SearchError(self.what, lost.why, "Run again") from lost
                self.deadline.pause()
                continue
            if answer.ok:
                self.made.add(item.index)
                if indices.behind(self.client, item.index):
                    return
                raise SearchError(self.what, f"the engine restored nothing of '{item.source}'", "Check the names")
            if item.index in self.made and indices.behind(self.client, item.index):  # by the call before
                return
            raise refused(self.what, answer.status, answer.body, "The names asked for were not touched")

    def _wait(self, beat: snapshot.Beat) -> None:
        names = [item.index for item in self.request.items]
        idle_since: float | None = None
        while True:
            try:
                states = indices.health(self.client, names)
            except Lost:
                if self.deadline.expired:
                    raise
                self.deadline.pause()
                continue
            total = sum(state["number_of_shards"] for state in states.values())
            done = sum(state["active_primary_shards"] for state in states.values())
            if len(states) == len(set(names)) and done == total:
                return
            beat(done, total)
            moving = any(state["initializing_shards"] for state in states.values())
            red = any(state["status"] == "red" for state in states.values())
            idle_since = None if moving else (self.deadline.elapsed if idle_since is None else idle_since)
            idle = 0.0 if idle_since is None else self.deadline.elapsed - idle_since
            if self.deadline.expired or (idle > (1.0 if red else _STUCK) and not self._comes(states)):
                self._fail(states)
            self.deadline.pause()

    def _comes(self, states: dict[str, dict[str, t.Any]]) -> bool:
        """Whether what is on no node yet only waits: while a cluster is rebuilt much else is on its way, too."""
        lacking = [(name, state["number_of_shards"]) for name, state in states.items() if not _is_whole(state)]
        return bool(lacking) and all(indices.waits_its_turn(self.client, *each) for each in lacking)

    def _fail(self, states: dict[str, dict[str, t.Any]]) -> t.NoReturn:
        told = []
        for name, state in sorted(states.items()):
            if not _is_whole(state):
                lacking = state["number_of_shards"] - state["active_primary_shards"]
                why = indices.why_unassigned(self.client, name, state["number_of_shards"])
                told.append(f"{lacking} of {state['number_of_shards']} shards of '{name}' did not come back ({why})")
        why = "; ".join(told) or f"it has not ended in {self.deadline.seconds:g} s"
        raise SearchError(self.what, why, "The names asked for were not touched")

    def _check(self, item: Item) -> None:
        indices.refresh(self.client, item.index)
        item.count = indices.count(self.client, item.index)
        if item.documents is not None and not item.documents.admits(item.count):
            wanted = item.documents
            told = wanted.exact if wanted.exact is not None else f"{wanted.at_least} to {wanted.at_most}"
            raise SearchError(
                self.what,
                f"'{item.source}' came back with {item.count} documents, the set says {told}",
                "The names asked for were not touched. Verify the set, and use another one",
            )
        if item.sequences:
            sequences.check(self.client, item.index, item.sequences)

    def _trim(self, item: Item) -> None:
        if self.request.newer_than is not None and item.trim_field:
            mappings = indices.describe(self.client, item.index)["mappings"]
            item.trimmed = trim(self.client, item.index, mappings, field=item.trim_field, limit=self.request.newer_than)
            item.count -= item.trimmed

    def _raise_sequence(self) -> None:
        """Entries are numbered on above the largest: their snapshot may be newer than that of the numbers."""
        numbers = [item for item in self.request.items if item.sequences is not None]
        entries = [item for item in self.request.items if item.audit]
        if numbers and entries:
            largest = max(sequences.largest_entry(self.client, item.index) for item in entries)
            sequences.raise_to(self.client, numbers[0].index, sequences.OF_AUDIT, largest)

    # -- under the names

    def actions(self) -> tuple[list[dict[str, t.Any]], list[str], list[str]]:
        """The one change: actions for ``_aliases``, indices that it removes, and those that stay without the name.

        These get an alias of their own: an index without any is taken for what a killed run has left.
        """
        removed = {name for name, there in self.standing.items() if name in there}
        todo: list[dict[str, t.Any]] = [{"remove_index": {"index": index}} for index in sorted(removed)]
        aside = set()
        for name, there in sorted(self.standing.items()):
            for index in set(there) - removed:  # the engine removes indices first, and then knows none of their aliases
                todo.append({"remove": {"index": index, "alias": name}})
                aside.add(index)
        todo += [{"add": {"index": index, "alias": indices.aside_alias(index)}} for index in sorted(aside)]
        for item in self.request.items:
            todo += [{"add": {**body, "index": item.index, "alias": name}} for name, body in item.aliases.items()]
        return todo, sorted(removed), sorted(aside)

    def swap(self) -> None:
        """Give the restored indices their names, all at once."""
        todo = self.actions()[0]
        while True:
            try:
                answer = self.client.call("POST", "/_aliases", {"actions": todo})
                if answer.ok or self._swapped():
                    return
                raise refused(self.what, answer.status, answer.body, "The restored indices stand beside their names")
            except Lost as lost:
                if self._swapped():
                    return
                if self.deadline.expired:
                    raise SearchError(self.what, lost.why, "Run again") from lost
                self.deadline.pause()

    def _swapped(self) -> bool:
        return all(
            item.index in indices.behind(self.client, name) for item in self.request.items for name in item.names
        )
