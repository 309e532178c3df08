# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: indices and aliases as they are, and how many documents they hold."""

from __future__ import annotations

import dataclasses
import typing as t

from .client import Answer, Client, path
from .errors import SearchError, refused

_COMES = ("yes", "throttled", "awaiting_info", "allocation_delayed", "no_attempt")
"""What an engine says of a shard that it will give a node."""
_WILD = set('*?,<>"|\\/ #')


def check_name(name: str) -> None:
    """Refuse what could match nothing: a wildcard that finds no index makes an empty snapshot that says SUCCESS."""
    if not name or name[0] in "-_+" or set(name) & _WILD:
        raise SearchError(f"Index '{name}'", "it is not the name of one index or alias", "Name each index in full")


def aside_alias(index: str) -> str:
    """The alias that says of an index that it is kept aside: whoever wants it finds it, and nobody by accident."""
    return f"{index}-aside"


def behind(client: Client, name: str) -> dict[str, dict[str, t.Any]]:
    """The indices behind a name, each with its aliases: none where there is neither index nor alias."""
    check_name(name)
    answer = client.call("GET", path(name, "_alias"))
    if answer.status == 404:
        return {}
    if not answer.ok:
        raise refused(f"Look-up of index '{name}' on {client.where}", answer.status, answer.body)
    return {index: dict(found.get("aliases", {})) for index, found in sorted(answer.body.items())}


def counted(what: str, answer: Answer) -> int:
    """A count in which every shard took part. Engines answer 200 with the rest when some did not."""
    if not answer.ok:
        raise refused(what, answer.status, answer.body)
    shards = answer.body["_shards"]
    if shards["failed"] or shards["successful"] != shards["total"]:
        why = f"only {shards['successful']} of {shards['total']} shards answered"
        raise SearchError(what, why, "Wait until the index is whole, or repair it")
    return int(answer.body["count"])


def count(client: Client, index: str) -> int:
    """The documents that a search finds, from all shards."""
    return counted(f"Count of index '{index}' on {client.where}", client.call("GET", path(index, "_count")))


def refresh(client: Client, index: str) -> None:
    """Make what was written visible to counts: else they are those of the last refresh, and prove nothing."""
    answer = client.call("POST", path(index, "_refresh"), repeat=True)
    if not answer.ok:
        raise refused(f"Refresh of index '{index}' on {client.where}", answer.status, answer.body)


@dataclasses.dataclass
class Shard:
    """A primary's last commit: what a snapshot takes; and how many deletions it has done since it is on its node."""

    node: str
    generation: int
    committed: int
    visible: int
    deletions: int = 0


def commits(client: Client, names: t.Sequence[str]) -> dict[tuple[str, str], Shard]:
    """The last commit of each primary."""
    answer = client.call("GET", path(names, "_stats", ["docs", "indexing"]), params={"level": "shards"})
    if not answer.ok:
        raise refused(f"Statistics of {', '.join(names)} on {client.where}", answer.status, answer.body)
    found = {}
    for index, body in answer.body.get("indices", {}).items():
        for number, copies in body.get("shards", {}).items():
            for copy in copies:
                if copy["routing"]["primary"] and "commit" in copy:
                    last, docs = copy["commit"], copy["docs"]["count"]
                    node, gone = copy["routing"]["node"], copy["indexing"]["delete_total"]
                    found[index, number] = Shard(
                        node, int(last["generation"]), int(last["num_docs"]), int(docs), int(gone)
                    )
    return found


@dataclasses.dataclass
class Documents:
    """How many documents a snapshot holds of an index: exactly where it can be proven, else the bounds."""

    exact: int | None
    at_least: int
    at_most: int

    def admits(self, number: int) -> bool:
        """Whether a restored index of so many documents is whole."""
        return number == self.exact if self.exact is not None else self.at_least <= number <= self.at_most

    def as_dict(self) -> dict[str, int | None]:
        return {"documents": self.exact, "documents_at_least": self.at_least, "documents_at_most": self.at_most}


class Counter:
    """Counts before and after a snapshot, while others write, and perhaps purge."""

    def __init__(self, client: Client, names: t.Sequence[str]) -> None:
        self.client = client
        self.names = names
        for name in names:
            refresh(client, name)
        self.before = commits(client, names)
        self.counts = {name: count(client, name) for name in names}

    def result(self) -> dict[str, Documents]:
        """Call it as soon as the snapshot has ended."""
        after = commits(self.client, self.names)
        highs = {}
        for name in self.names:
            refresh(self.client, name)
            highs[name] = count(self.client, name)
        last = commits(self.client, self.names)
        return {name: self._held(name, highs[name], after, last) for name in self.names}

    def _held(
        self, name: str, high: int, after: dict[tuple[str, str], Shard], last: dict[tuple[str, str], Shard]
    ) -> Documents:
        """Where documents were deleted meanwhile, there may have been fewer than at either end, and more."""
        low, gone = self.counts[name], self._deleted(name, last)
        at_least, at_most = max(0, min(low, high) - gone), max(low, high) + gone
        exact = low if low == high and not gone else self._taken(name, after)
        if exact is not None and not at_least <= exact <= at_most:
            exact = None  # a commit counts nested documents as well
        return Documents(exact, at_least, at_most)

    def _deleted(self, name: str, last: dict[tuple[str, str], Shard]) -> int:
        """Deletions since the counts before. A shard that was moved or restarted counts from nothing."""
        total = 0
        for key, new in last.items():
            old = self.before.get(key)
            stayed = old is not None and old.node == new.node and old.deletions <= new.deletions
            total += (new.deletions - (old.deletions if old and stayed else 0)) if key[0] == name else 0
        return total

    def _taken(self, name: str, after: dict[tuple[str, str], Shard]) -> int | None:
        """Documents in the commits that the snapshot took, where it is certain which these were.

        A snapshot commits first, when there is something to commit. So a shard's last commit is the one taken when it
        is still the one from before, or when it is the next one and something was waiting to be committed.
        """
        total = 0
        for key, old in self.before.items():
            new = after.get(key)
            if key[0] != name:
                continue
            if new is None or new.node != old.node:
                return None
            steps = new.generation - old.generation
            if steps != 0 and not (steps == 1 and old.visible != old.committed):
                return None
            total += new.committed
        return total


def describe(client: Client, index: str) -> dict[str, t.Any]:
    """Settings, mappings and aliases of one index, for the record of a backup."""
    answer = client.call("GET", path(index))
    if not answer.ok:
        raise refused(f"Description of index '{index}' on {client.where}", answer.status, answer.body)
    found = answer.body[index]
    settings = dict(found["settings"]["index"])
    created = int(settings.get("version", {}).get("created", 0))
    return {
        "name": index,
        "aliases": found.get("aliases", {}),
        "settings": settings,
        "mappings": found.get("mappings", {}),
        "created": created,
    }


def health(client: Client, names: t.Sequence[str]) -> dict[str, dict[str, t.Any]]:
    """Status and shards of each index. Yellow does not mean that every primary is there: count them."""
    answer = client.call("GET", path("_cluster", "health", names), params={"level": "indices", "timeout": "5s"})
    if not answer.ok and answer.status != 408:
        raise refused(f"Health of {', '.join(names)} on {client.where}", answer.status, answer.body)
    return dict(answer.body.get("indices", {}))


def unassigned(client: Client, index: str, shards: int) -> list[dict[str, t.Any]]:
    """What the engine says of each primary of the index that is on no node; nothing where it does not tell."""
    found = []
    for number in range(shards):
        body = {"index": index, "shard": number, "primary": True}
        answer = client.call("POST", "/_cluster/allocation/explain", body, repeat=True)
        if answer.ok and answer.body.get("current_state") == "unassigned":
            found.append({"shard": number, **answer.body})
    return found


def waits_its_turn(client: Client, index: str, shards: int) -> bool:
    """Whether every primary that is on no node will be on one: others may be on their way first."""
    told = unassigned(client, index, shards)
    return bool(told) and all(each.get("can_allocate") in _COMES for each in told)


def why_unassigned(client: Client, index: str, shards: int) -> str:
    """In the engine's words, why a primary of the index is on no node."""
    for told in unassigned(client, index, shards)[:1]:
        last = told.get("unassigned_info", {})
        words = [
            f"shard {told['shard']}",
            last.get("details") or last.get("reason", ""),
            told.get("allocate_explanation", ""),
        ]
        for node in told.get("node_allocation_decisions", [])[:2]:
            words += [decider.get("explanation", "") for decider in node.get("deciders", [])[:2]]
        return ": ".join(word for word in words if word)[:900]
    return "no reason was given"


def closed(client: Client, names: t.Sequence[str]) -> set[str]:
    """Which of these indices are closed."""
    answer = client.call(
        "GET",
        path("_cluster", "state", "metadata", names),
        params={"filter_path": "metadata.indices.*.state", "expand_wildcards": "open,closed"},
    )
    found = answer.body.get("metadata", {}).get("indices", {}) if answer.ok else {}
    return {name for name, state in found.items() if state.get("state") == "close"}


def free_bytes(client: Client) -> int | None:
    """What is free on all nodes that hold data; None where one does not tell."""
    answer = client.call("GET", "/_nodes/stats/fs")
    nodes = answer.body.get("nodes", {}).values() if answer.ok else ()
    free = [
        (node.get("fs", {}).get("total") or {}).get("available_in_bytes")
        for node in nodes
        if any(role.startswith("data") for role in node.get("roles", ["data"]))
    ]
    told = [size for size in free if size is not None]
    return sum(told) if told and len(told) == len(free) else None


def remove(client: Client, index: str) -> None:
    """Remove one index; one that is gone already is as well."""
    answer = client.call("DELETE", path(index), repeat=True)
    if not answer.ok and answer.status != 404:
        raise refused(f"Removal of index '{index}' on {client.where}", answer.status, answer.body)
