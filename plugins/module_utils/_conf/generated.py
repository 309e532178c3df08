# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what of nuxeo.conf the server does not run with: what it has generated is from before.

It heeds a change at its next start, or never. The launcher leaves beside its files the properties that it has generated
them from; where there is no such dump nothing is told.
"""

from __future__ import annotations

import os
import re
import typing as t

from .configuration import Configuration
from .engines import AUDIT_2025, SEARCH_2025, SEQUENCES_2025
from .errors import ConfError
from .java import resolve_path, trim
from .load import read_bytes
from .process import running
from .properties import MalformedEscape, parse

FORCE = "nuxeo.force.generation"
PLACES = (
    *("nuxeo.db.jdbc.url", "nuxeo.db.host", "nuxeo.db.port", "nuxeo.db.name", "nuxeo.db.user", "nuxeo.db.xaMode"),
    *("nuxeo.mongodb.server", "nuxeo.mongodb.dbname", "repository.binary.store", "nuxeo.binarystores.root"),
    *("kafka.enabled", "kafka.topicPrefix", "kafka.bootstrap.servers", "nuxeo.stream.chronicle.dir"),
    *("elasticsearch.enabled", "elasticsearch.addressList", "elasticsearch.indexName"),
    *("audit.elasticsearch.enabled", "audit.elasticsearch.indexName", "seqgen.elasticsearch.indexName"),
    *("nuxeo.redis.enabled", "nuxeo.redis.host", "nuxeo.redis.database", "nuxeo.redis.prefix"),
)
"""Properties that say where data is."""
PLACE_2025 = re.compile(
    rf"({re.escape(AUDIT_2025)}|{re.escape(SEARCH_2025)}|{re.escape(SEQUENCES_2025)})"
    r"\.(factory|name|class|[a-z0-9]+\.(index\.name|client\.server))|nuxeo\.opensearch1\.embed\.(enabled|dataPath)"
)
"""Those that name the engine of 2025."""
DATA_DIR = "nuxeo.data.dir"
"""One more, which a start heeds whatever was generated."""
FOLDERS = (DATA_DIR, "nuxeo.home", "nuxeo.log.dir", "nuxeo.tmp.dir")
"""What others refer to, and is named otherwise by what makes it absolute."""
ENCRYPTED = "{$"
"""How a value begins that stands there as it was given, and here may be in clear."""


def regenerates(configuration: Configuration) -> bool:
    """Whether the next start generates the server's files anew: it is told to, or there are none yet."""
    told = configuration.get(FORCE) or ""
    if told in ("true", "once") or (told.lower() == "true" and not configuration.line.modern):
        return True
    context = configuration.get("org.nuxeo.ecm.contextPath") or "/nuxeo"
    return not os.path.exists(f"{configuration.home}/conf/Catalina/localhost/{context[1:]}.xml")


def unread(configuration: Configuration) -> list[str]:
    """Of the properties that say where data is those that the server's files have otherwise, where they stay so."""
    return [] if regenerates(configuration) else _otherwise(configuration, _dumped(configuration))


def pending_restart(configuration: Configuration, proc: str = "/proc") -> list[str]:
    """Of the properties that say where data is those that the running server has otherwise until it is started anew.

    Its command line tells the data folder. All others are told only where a file was changed since the start: how a
    value is written makes no difference by itself.
    """
    servers = running(configuration.conf, proc)
    folders = [server.data_dir for server in servers if server.data_dir and "${" not in server.data_dir]
    # by whatever links it is named, and up to 10.10 perhaps as a template has it, which the server does not heed
    named = {os.path.realpath(name) for name in (configuration.folder(DATA_DIR), configuration.raw(DATA_DIR)) if name}
    elsewhere = [] if {os.path.realpath(folder) for folder in folders} <= named else [DATA_DIR]
    if not servers or not regenerates(configuration):
        return elsewhere  # nobody knows when the server was started: its files may be older
    names = _otherwise(configuration, _dumped(configuration))
    files = {configuration.conf, *(configuration.origin(name).file for name in configuration)}
    # the time of their bytes may be one that was put in place with them
    if names and max(os.stat(file).st_ctime for file in files) > os.path.getmtime(_dump(configuration)):
        return names + elsewhere
    return elsewhere


def _dump(configuration: Configuration) -> str:
    folder = resolve_path(configuration.home, configuration.raw("nuxeo.config.dir") or "nxserver/config")
    return f"{folder}/configuration.properties"


def _dumped(configuration: Configuration) -> dict[str, str]:
    """The properties of the dump; none where there is no dump."""
    try:
        entries = parse(read_bytes(_dump(configuration)).decode("utf-8", "replace"))
    except (ConfError, MalformedEscape):
        return {}
    return {entry.name: trim(entry.value) for entry in entries}


def _otherwise(configuration: Configuration, dumped: dict[str, str]) -> list[str]:
    """Of the properties that say where data is those that have another value in a dump."""
    now, then = (configuration.expansion(_apart_from_folders(get)) for get in (configuration.raw, dumped.get))
    names = [*PLACES, *sorted(filter(PLACE_2025.fullmatch, {*configuration, *dumped}))] if dumped else []
    pairs = [(name, now(configuration.raw(name) or ""), then(dumped.get(name, ""))) for name in names]
    found = [name for name, value, before in pairs if value != before and ENCRYPTED not in before]
    # those that only refer to others are told where none of those is a place itself
    return [name for name in found if (configuration.raw(name) or "") != dumped.get(name, "")] or found


def _apart_from_folders(get: t.Callable[[str], str | None]) -> t.Callable[[str], str | None]:
    return lambda name: name if name in FOLDERS else get(name)


def unread_problems(nodes: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """Nodes whose nuxeo.conf is not what their server runs with: what it names would be saved instead."""
    every = {name: node.get("facts") or {} for name, node in sorted(nodes.items())}
    problems = [
        f"Node '{name}': its server has {', '.join(facts['unread'])} otherwise than '{facts['conf']}', since {FORCE} "
        f"is not true there, and its files were generated before. Set {FORCE} to once and start the server anew, or "
        "correct nuxeo.conf."
        for name, facts in every.items()
        if facts.get("unread")
    ]
    return problems + [
        f"Node '{name}': its server runs with {', '.join(facts['pending_restart'])} otherwise than '{facts['conf']}', "
        "since that, or a template that it names, was changed after the start. Start the server anew, or take the "
        "change back."
        for name, facts in every.items()
        if facts.get("pending_restart")
    ]


def unheeded(conf: str, names: str) -> str:
    """The problem of a change that would have no effect."""
    return (
        f"Change of '{conf}': {FORCE} is not true there, so Nuxeo would go on with the files that it has generated "
        f"before, and not see {names}. Set {FORCE} to true or once, in nuxeo.conf or by restore_properties."
    )
