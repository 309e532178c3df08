# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a backup copies as trees of files, and what stands in the way of that."""

from __future__ import annotations

import fnmatch
import os
import typing as t
from glob import escape

from .._database.h2 import file_of
from .._errors import shown
from .._files.at import below
from .._files.entry import LISTED
from .._files.look import obstacles
from .._search import audit
from .mounts import away, unmounted

Facts = t.Dict[str, t.Any]

TRANSIENT = "binaries_transient_*"
DISPOSABLE = (
    TRANSIENT,
    "transientstores",
    "convertcache",
    "h2/*.trace.db",
    "h2/*.lock.db",
    "installAfterRestart.log",
)
"""Parts of a data folder that no restored server misses."""

NEVER = ("**/.nuxeo-platform-*", "**/.config.xml.*.tmp", "**/lost+found/")
"""What restores have left or kept aside, and what every ext4 volume has, which only root may read."""

WORKS = "big-works"
"""The tree of a transient store that queued works need, when it is not in the data folder."""


def inside(path: str, folder: str) -> str | None:
    """The path relative to a folder that holds it, else None."""
    relative = os.path.relpath(os.path.realpath(path), os.path.realpath(folder))
    return None if relative == ".." or relative.startswith("../") else relative


def h2_place(facts: Facts) -> str:
    """Where an embedded database is, relative to the data folder; either may be named by way of links."""
    path, data = str(facts["database"]["path"]), facts["data_dir"]
    place = os.path.relpath(path, data)
    return inside(path, data) or place if place.startswith("../") else place


def _engine_folder(facts: Facts) -> str:
    """Where the engine embedded in Nuxeo has its indices, if there is one."""
    told = [(facts.get(name) or {}).get("path") for name in ("audit", "sequences", "search")]
    return next(filter(None, told), None) or os.path.join(facts["data_dir"], "elasticsearch")


def engine_place(facts: Facts) -> str | None:
    """The same, relative to the data folder; None when it is not in it."""
    return inside(_engine_folder(facts), facts["data_dir"])


def _disposable(facts: Facts) -> list[str]:
    """Of the transient stores one may have the bodies of queued works, which would come back without them."""
    works = facts["streams"].get("big_works")
    own = inside(works, facts["data_dir"]) if works and os.path.isdir(works) else None
    if own is None:
        return list(DISPOSABLE)
    others = [escape(name) for name in fnmatch.filter(os.listdir(facts["data_dir"]), TRANSIENT) if name != own]
    left_out = [name for name in (*DISPOSABLE, *others) if name not in (TRANSIENT, own)]
    return [*left_out, escape(os.path.join(own, "tmp"))]


def file_trees(
    facts: Facts, stores: list[dict[str, t.Any]], cold: bool, further: t.Sequence[str]
) -> list[dict[str, t.Any]]:
    """What is copied as files: the data folder without blobs and disposable parts, and stores' own files outside it."""
    data = facts["data_dir"]
    exclude = [*_disposable(facts), *NEVER, *further]
    parts = [inside(facts["log_dir"], data), None if cold else engine_place(facts)]
    exclude += [escape(part) for part in parts if part and part != "."]
    trees = []
    for store in stores:
        relative = inside(store["path"], data)
        if relative is None:
            others = [data, *(other["path"] for other in stores)]
            nested = sorted({part for part in (inside(path, store["path"]) for path in others) if part and part != "."})
            exclude_here = ["data", "tmp", TRANSIENT, *NEVER, *map(escape, nested)]
            trees.append({"name": f"store-{store['provider']}", "src": store["path"], "exclude": exclude_here})
            exclude += map(escape, below(store["path"], data))  # a link in the data folder to a store elsewhere
        else:
            prefix = "" if relative == "." else f"{relative}/"
            exclude += [f"{escape(prefix)}data", f"{escape(prefix)}tmp"]
    works = facts["streams"].get("big_works")
    if works and inside(works, data) is None and os.path.isdir(works):
        trees.append({"name": WORKS, "src": works, "exclude": ["tmp", *NEVER]})
    return [{"name": "data", "src": data, "exclude": sorted(exclude)}, *trees]


def folder_problems(facts: Facts, stores: list[dict[str, t.Any]]) -> list[str]:
    """A missing or empty data folder or store is an unmounted or a new volume until the operator shows otherwise."""
    problems = []
    for what, path in [("Data folder", facts["data_dir"])] + [
        (f"Blob store '{s['provider']}'", s["path"]) for s in stores
    ]:
        problems += [f"{what} '{path}': {away(point)}." for point in unmounted(path)]
        try:
            empty = not set(os.listdir(path)) - {"lost+found"}
        except OSError as error:
            problems.append(f"{what} '{path}': {error.strerror}. Is its volume mounted, and nuxeo.conf the right one?")
            continue
        if empty:
            problems.append(f"{what} '{path}': it is empty. Is its volume mounted?")
    return problems


def _shown(paths: t.Sequence[str]) -> str:
    """Some names."""
    more = f" and {len(paths) - LISTED} more" if len(paths) > LISTED else ""
    return shown(", ".join(paths[:LISTED])) + more


def tree_problems(facts: Facts, trees: t.Sequence[dict[str, t.Any]]) -> list[str]:
    """What copies of files and templates would refuse after all that comes before; of the node that does the work."""
    folders = [os.path.join(facts["home"], "templates", name) for name in facts["templates"]]
    templates = [{"name": "", "src": folder, "exclude": ()} for folder in folders if os.path.isdir(folder)]
    problems = []
    for tree in [*trees, *templates]:
        found = obstacles(tree["src"], tree["exclude"])
        what = f"Backup of the files of '{tree['src']}'"
        todo = "list them in backup_files_exclude" if tree["name"] == "data" else "take them out of there"
        if found.outside:
            problems.append(
                f"{what}: links lead out of it, to what would be missing: {_shown(found.outside)}. "
                f"Save that by other means and {todo}."
            )
        if found.closed:
            problems.append(
                f"{what}: user {os.geteuid()} may not read {_shown(found.closed)}. "
                f"Run as root or as the server's user, or {todo}."
            )
        if found.special and not tree["name"]:
            problems.append(f"{what}: it holds what is no file: {_shown(found.special)}. Take that out.")
    return problems


def h2_problems(facts: Facts) -> list[str]:
    """The embedded database is saved with the data folder, so it has to be there."""
    database = facts["database"]
    if database["kind"] != "h2":
        return []
    path = database.get("path")
    if not path or inside(path, facts["data_dir"]) is None:
        return [f"Backup of H2 database '{path}': it is not in the data folder '{facts['data_dir']}'. Move it there."]
    if file_of(path) is None:
        return [
            f"Backup of H2 database '{path}': there is no such file. "
            "Has the server ever been started, and is nuxeo.conf the right one?"
        ]
    return []


def embedded_problems(facts: Facts, accepted: t.Sequence[str]) -> list[str]:
    """The embedded engine is saved with the data folder while the server is stopped, so its files have to be there."""
    kept = [name for name in ("audit", "sequences") if (facts.get(name) or {}).get("kept") == "elasticsearch"]
    kept = [name for name in kept if f"{name}:elasticsearch" not in accepted]
    if not kept or not audit.is_embedded(facts) or facts["database"]["kind"] != "h2":
        return []
    folder = _engine_folder(facts)
    what = f"Backup of {' and '.join(kept)} in the engine embedded in Nuxeo"
    if not os.path.isdir(folder):
        return [f"{what}: there is no folder '{folder}'. Has the server ever been started?"]
    if engine_place(facts) is None:
        why = f"its folder '{folder}' is not in the data folder '{facts['data_dir']}'"
        return [f"{what}: {why}. Move it there: set nuxeo.opensearch1.embed.dataPath."]
    return []
