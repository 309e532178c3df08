# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: whether the login may do what will be needed, asked before anything is changed.

Engines have no common question for that, and OpenSearch has none at all. But all judge a login before they judge what
it wants. So each call is made as it will be made later, about a repository or an index that cannot be there: an engine
that allows it answers that there is no such thing.
"""

from __future__ import annotations

import contextlib
import typing as t

from . import snapshot
from .client import Answer, Client, path
from .engine import OPENSEARCH, Engine
from .errors import Lost, error_types, missing_privilege, reason, refused

_NOWHERE = "RIGHTS#"
"""No engine takes this in the name of an index, nor what is left of it where a proxy cuts at the hash."""
_NO_TYPE = "nuxeo-platform-none"
"""No engine takes a repository of such a type."""
_UNANSWERABLE = "search_phase_execution_exception"
"""An index whose shards are gone: that is told by its health, and the search was allowed."""
_PATIENCE = 5.0


_LEFT = (
    "index.blocks.*",
    "index.lifecycle.*",
    "index.plugins.index_state_management.*",
    "index.opendistro.index_state_management.*",
)
"""Settings that no restored index gets. With a block it could not be trimmed or named, nor written to by Nuxeo. A
policy would go by the age of the index that was saved, and might delete the restored one within minutes.
"""


OF_THE_NODES = ("index.routing.allocation.*",)
"""Settings that no index gets in another cluster: its nodes have other names and attributes, and none would take it."""


def restore_body(source: str, target: str, left: t.Iterable[str] = ()) -> dict[str, t.Any]:
    """What a restore of one index under another name asks for.

    :param left: settings that it does not get, beside those that none gets
    """
    return {
        "indices": source,
        "ignore_unavailable": False,
        "include_global_state": False,
        "include_aliases": False,
        "ignore_index_settings": [*_LEFT, *left],
        "partial": False,
        "rename_pattern": ".+",
        "rename_replacement": target.replace("$", "\\$"),
    }


class Probe(t.NamedTuple):
    """One call."""

    method: str
    target: str
    body: t.Any = None
    waits: bool = False
    """Whether an old engine leaves it without an answer while it makes a snapshot."""


def for_snapshot(client: Client, names: t.Sequence[str], *, own: bool) -> list[str]:
    """What the login may not do of all that saving these indices needs; one problem for all of it.

    :param own: whether the repository is made by the role, too
    """
    nowhere, name = ("_snapshot", _NOWHERE), "rights"
    probes = [
        Probe("GET", "/_nodes?filter_path=nodes.*.name"),
        Probe("GET", "/_cluster/health"),
        Probe("GET", path("_cluster", "state", "metadata", names) + "?filter_path=metadata.indices.*.state"),
        Probe("GET", "/_snapshot"),
        Probe("GET", "/_snapshot/_status"),
        Probe("GET", path(*nowhere, "_all")),
        Probe("POST", path(*nowhere, "_verify")),
        Probe("PUT", path(*nowhere, name), {"indices": ",".join(names)}, waits=True),
        Probe("DELETE", path(*nowhere, name)),
    ]
    if own:
        probes.append(Probe("PUT", path(*nowhere), {"type": _NO_TYPE, "settings": {}}))
    for index in names:
        probes += [Probe("GET", path(index, *what)) for what in ((), ("_alias",), ("_stats", "docs"), ("_count",))]
    return _lacking(client, probes)


def for_restore(
    client: Client, engine: Engine, place: tuple[str, str], sources: t.Mapping[str, str], *, written: bool
) -> list[str]:
    """The same for restoring indices beside names.

    OpenSearch looks into the snapshot before it judges the login. So there it is that of the restore, but into a name
    that no index can have; where that is allowed, the name is refused.

    :param place: the snapshot's repository and name
    :param sources: what each target's name is restored from
    :param written: whether documents of them will be removed or changed
    """
    names = [f"{target}-{_NOWHERE}" for target in sources]
    nowhere = path("_snapshot", _NOWHERE, "rights", "_restore")
    probes = [Probe("POST", nowhere, {"indices": ",".join(names)}, waits=True)]
    if engine.distribution == OPENSEARCH:
        probes = [
            Probe("POST", path("_snapshot", *place, "_restore"), restore_body(source, f"{target}-{_NOWHERE}"))
            for target, source in sources.items()
        ]
    for index in names:
        probes += [
            Probe("GET", path(index, "_count")),
            Probe("POST", path(index, "_refresh")),
            Probe("POST", "/_aliases", {"actions": [{"add": {"index": index, "alias": f"{index}-alias"}}]}),
            Probe("DELETE", path(index)),
        ]
        if written:
            probes.append(Probe("DELETE", path(index, "_doc", "rights")))
    return _lacking(client, probes)


def _lacking(client: Client, probes: t.Sequence[Probe]) -> list[str]:
    """One problem that names every privilege, and one for each call of which it is not known."""
    actions, unknown = set(), []
    for probe in probes:
        answer = _answer(client, probe)
        if answer.status == 401:
            raise refused(f"Login on {client.where}", answer.status, answer.body)
        types = error_types(answer.body)
        if "security_exception" in types:
            actions.add(missing_privilege(answer.body) or reason(answer.body))
        elif not answer.ok and not types:
            told = f"HTTP {answer.status}, {reason(answer.body)}"
            unknown.append(f"whether the login may {probe.method} {probe.target} could not be found out ({told})")
    listed = ", ".join(sorted(actions))
    lacking = [f"the login lacks these privileges, grant them to a role of it: {listed}"] if actions else []
    return lacking + unknown


def _answer(client: Client, probe: Probe) -> Answer:
    if probe.waits:
        with contextlib.suppress(Lost):
            return client.call(probe.method, probe.target, probe.body, timeout=_PATIENCE)
        if snapshot.running(client):  # which is told by itself; the login is judged when its turn comes
            return Answer(200, {})
    counts = probe.target.endswith("_count")
    try:
        return client.call(probe.method, probe.target, probe.body, repeat=not counts)
    except Lost as lost:
        if _UNANSWERABLE in lost.result.get("types", ()):
            return Answer(200, {})
        if not counts:
            raise
    return client.call(probe.method, probe.target, probe.body)  # it was another node's turn, and that one is down
