# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what speaks against a copy, all of it told at once and before the first change."""

from __future__ import annotations

import typing as t

from . import groups, rights, topics
from .cluster import Cluster, Partition, Topic
from .errors import StreamsError
from .journal import Journal
from .names import choose
from .plan import Plan
from .wire import may_write_in_order, operations

LACKS = "this user lacks "


class Copying(t.Protocol):
    """What is asked of a copy."""

    target: Cluster
    journal: Journal

    @property
    def target_prefix(self) -> str: ...

    @property
    def replication_factor(self) -> int: ...


def ends_of(cluster: Cluster, existing: t.Mapping[str, Topic]) -> dict[Partition, int]:
    """The end offset of every partition of the topics."""
    keys = [(name, number) for name, topic in existing.items() for number in range(topic.partitions)]
    return cluster.offsets(keys, "end")


class Preflight:
    """The questions to the target before anything is made there."""

    def __init__(self, target: Cluster, journal: Journal, prefix: str, replication: int) -> None:
        self.target, self.journal, self.prefix, self.replication = target, journal, prefix, replication
        self._state = f"the state file '{journal.path}'"

    @classmethod
    def of(cls, copy: Copying) -> Preflight:
        """That of a copy."""
        return cls(copy.target, copy.journal, copy.target_prefix, copy.replication_factor)

    def problems(
        self, names: t.Mapping[str, str], exclude: t.Sequence[str], ours: t.Optional[groups.Positions]
    ) -> list[str]:
        """Everything that has to be otherwise.

        :param names: the target's name of each source topic
        :param ours: the positions that this copy may have set already
        """
        wanted = sorted(names.values())
        allowed = operations(self.target.settings, wanted, self.target.timeout)
        existing = self.target.topics([name for name in wanted if allowed.get(name) != frozenset()])
        ends = ends_of(self.target, existing)
        found: list[str] = []
        for topic in self.journal.plan["topics"]:
            name, entry = names[topic["name"]], self.journal.topic(topic["name"])
            if name in existing:
                found += self._occupied(topic, entry, existing[name], ends)
            elif entry.get("id"):
                found.append(f"topic '{name}', which this copy has made, is gone: remove {self._state} to begin again")
            else:
                found += self._creatable(topic, name)
        found += self._strangers(set(wanted), exclude)
        consumers = groups.target_names(self.journal.plan, self.prefix)
        missing = rights.group_rights(self.target, consumers)
        missing += rights.topic_rights(self.target, sorted(existing), rights.TARGET)
        missing += rights.new_topic_rights(allowed, sorted(set(wanted) - set(existing)), rights.TARGET)
        if not any(right.startswith("WRITE ") for right in missing):  # which newer brokers take for it
            may = may_write_in_order(self.target.settings, self.target.timeout)
            missing += [] if may else ["IDEMPOTENT_WRITE on the cluster"]
        found += [LACKS + right for right in missing]
        return found if missing else found + groups.check_free(self.target, consumers, set(wanted), ours)

    def refuse(self, problems: t.Sequence[str]) -> None:
        """Raise when there are any."""
        if problems:
            more = f"; and {len(problems) - 20} more" if len(problems) > 20 else ""
            missing = [problem[len(LACKS) :] for problem in problems if problem.startswith(LACKS)]
            raise StreamsError(
                f"Copy to prefix '{self.prefix}' on Kafka {self.target.where}",
                "; ".join(problems[:20]) + more,
                "Clear what is named and run again, or give another target_prefix",
                {"problems": list(problems[:20]), "missing_rights": missing[:20]},
            )

    def _occupied(self, topic: Plan, entry: dict[str, t.Any], found: Topic, ends: dict[Partition, int]) -> list[str]:
        if "id" in entry:
            if entry["id"] == found.id:
                return []
            return [f"topic '{found.name}' was made anew by somebody else: remove {self._state} and the topic"]
        records = sum(ends[(found.name, number)] for number in range(found.partitions))
        if records:
            return [f"topic '{found.name}' holds {records} records that are not this copy's"]
        if found.partitions != topic["partition_count"]:
            return [f"topic '{found.name}' has {found.partitions} partitions, the source {topic['partition_count']}"]
        return []

    def _creatable(self, topic: Plan, name: str) -> list[str]:
        factor = topics.replicas(self.target, topic, self.replication)
        refusal = topics.known(self.target, name, topic["partition_count"], factor, topics.held(topic, factor))[2]
        if refusal.startswith("TOPIC_AUTHORIZATION_FAILED"):
            return [f"{LACKS}CREATE on topic '{name}'"]
        return [f"topic '{name}' cannot be created: {refusal}"] if refusal else []

    def _strangers(self, planned: set[str], exclude: t.Sequence[str]) -> list[str]:
        """Topics under the target prefix that Nuxeo would take for its own and that this copy does not make."""
        names = [name for name in self.target.topic_names() if name not in planned]
        try:
            found = choose(names, self.prefix, (), exclude).taken
        except StreamsError:
            return []  # perhaps another instance's: they are not touched
        ends = ends_of(self.target, self.target.topics(found))
        return [
            f"topic '{name}' of the target prefix holds {end} records"
            for (name, _n), end in sorted(ends.items())
            if end
        ]
