# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the plan of a restore, for people."""

from __future__ import annotations

import typing as t

Facts = t.Dict[str, t.Any]
Manifest = t.Dict[str, t.Any]


def node_lines(manifest: Manifest, names: t.Collection[str], leader: str, held_by: str | None) -> list[str]:
    """What becomes of nodes whose data folder is not the leader's, and of that where the set has none of its own."""
    held = f"node     {leader}: the set has none of it, it begins empty, unless it has one data folder with {held_by}"
    return ([held] if held_by else []) + [
        f"node     {name}, where its data folder is its own: "
        + ("gets its files of the set" if manifest["nodes"].get(name) else "the set has none of it, it begins empty")
        for name in sorted(names)
        if name != leader
    ]


def index_lines(target: Facts, drop_index: t.Sequence[str]) -> list[str]:
    """What becomes of the index of documents."""
    return [f"index    {target['search']['index']} of documents will be deleted"] if drop_index else []


def audit_lines(audit: dict[str, t.Any]) -> list[str]:
    """What goes into the search engine, and what becomes of what is there."""
    lines = [f"audit    {name} as {new}" for name, new in (audit.get("names") or {}).items()]
    lines += [f"audit    index {name} will be deleted" for name in audit.get("removed", ())]
    return lines + [f"audit    index {name} is kept aside" for name in audit.get("kept_aside", ())]


def set_lines(
    instance: str, manifest: Manifest, target: Facts, stores: list[dict[str, t.Any]], already: bool, overwrite: bool
) -> list[str]:
    """Which set goes where, what it lacks, and whether anything is there already."""
    database = target["database"]
    where = database.get("path") or f"{database['host']}:{database['port']}/{database['name']}"
    lines = [
        f"set      {manifest['id']} of '{manifest['instance']}', backup date {manifest['backup_date']}",
        f"onto     instance '{instance}', Nuxeo {target['version']}, {target['conf']}",
        f"database {database['kind']} {where} as {database.get('user')}",
        f"data     {target['data_dir']}",
    ]
    for store in stores:
        lines.append(f"blobs    {store['provider']}, {store['keys']} to {store['path']}")
        if store["kind"] == "encrypted":
            lines.append(
                f"blobs    {store['provider']} is encrypted: the target reads it only with the key of the source, in "
                "nuxeo.core.binarymanager_key, and nothing here compares these"
            )
    if manifest.get("uncovered"):
        lines.append(f"NOT in the set: {', '.join(manifest['uncovered'])}")
    if already:
        lines.append(
            "this very set is there already, and its database is untouched since. Only missing or wrong blobs are put "
            "back, other files were not looked at: restore_overwrite restores them again"
        )
    elif overwrite:
        lines.append("what is there now is kept aside")
    return lines
