# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: whether Nuxeo heeds a change of nuxeo.conf, or goes on with files generated before."""

from __future__ import annotations

import os
import typing as t

from .configuration import Configuration
from .errors import ConfError
from .java import resolve_path, trim
from .load import read_bytes
from .properties import MalformedEscape, parse

FORCE = "nuxeo.force.generation"
PLACES = (
    *("nuxeo.db.jdbc.url", "nuxeo.db.host", "nuxeo.db.port", "nuxeo.db.name", "nuxeo.db.user", "nuxeo.mongodb.server"),
    *("repository.binary.store", "nuxeo.binarystores.root", "kafka.enabled", "kafka.topicPrefix"),
    *("kafka.bootstrap.servers", "elasticsearch.enabled", "elasticsearch.addressList", "elasticsearch.indexName"),
)
"""Properties that say where data is."""
ENCRYPTED = "{$"
"""How a value begins that stands there as it was given, and here in clear."""


def regenerates(configuration: Configuration) -> bool:
    """Whether the next start generates the server's files anew: it is told to, or there are none yet."""
    told = configuration.get(FORCE) or ""
    if told in ("true", "once") or (told.lower() == "true" and not configuration.line.modern):
        return True
    context = configuration.get("org.nuxeo.ecm.contextPath") or "/nuxeo"
    return not os.path.exists(f"{configuration.home}/conf/Catalina/localhost/{context[1:]}.xml")


def unread(configuration: Configuration) -> list[str]:
    """Of the properties that say where data is those that the server's files have otherwise, where they stay so.

    The launcher leaves there what it has generated them from; nothing is told where it did not.
    """
    if regenerates(configuration):
        return []
    folder = resolve_path(configuration.home, configuration.raw("nuxeo.config.dir") or "nxserver/config")
    try:
        entries = parse(read_bytes(f"{folder}/configuration.properties").decode("utf-8", "replace"))
    except (ConfError, MalformedEscape):
        return []
    before = {entry.name: trim(entry.value) for entry in entries}
    told = [name for name in PLACES if not before.get(name, "").startswith(ENCRYPTED)]
    return [name for name in told if before.get(name, "") != (configuration.raw(name) or "")]


def unread_problems(nodes: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """Nodes whose nuxeo.conf is not what their server runs with: what it names would be saved instead."""
    every = {name: node.get("facts") or {} for name, node in sorted(nodes.items())}
    return [
        f"Node '{name}': its server has {', '.join(facts['unread'])} otherwise than '{facts['conf']}', since {FORCE} "
        f"is not true there, and its files were generated before. Set {FORCE} to once and start the server anew, or "
        "correct nuxeo.conf."
        for name, facts in every.items()
        if facts.get("unread")
    ]


def unheeded(conf: str, names: str) -> str:
    """The problem of a change that would have no effect."""
    return (
        f"Change of '{conf}': {FORCE} is not true there, so Nuxeo would go on with the files that it has generated "
        f"before, and not see {names}. Set {FORCE} to true or once, in nuxeo.conf or by restore_properties."
    )
