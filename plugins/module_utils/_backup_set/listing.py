# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: which sets there are. What is not a complete set is told, never left out in silence."""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from .._io import sha256_file
from .lease import read
from .place import ABANDONED, BEAT, ID, PARTIAL, Place, SetError, is_instance
from .publish import MANIFEST
from .schema import FORMAT, problems
from .sums import SUMS

LATEST = "latest"
_LISTED = 50


def list_sets(place: Place, wanted: str | None, limit: int) -> dict[str, t.Any]:
    """All complete sets, newest backup date first, and the wanted one with its manifest.

    :raises SetError: no backup root, or the wanted set is not there or damaged
    """
    if not os.path.isdir(place.root):
        raise SetError(
            f"Backup root '{place.root}'", "there is no such folder", "Make it, or mount what should be there"
        )
    manifests, unreadable, partial = _read_all(place)
    manifests.reverse()  # they come by their names, which are the times of their cuts
    latest = str(manifests[0]["id"]) if manifests else None
    chosen = None if wanted is None else _choose(place, wanted, manifests, unreadable)
    path = place.set(chosen["id"]) if chosen else None
    lease = read(place) if os.path.isdir(place.folder) else None
    return {
        "sets": [_summary(place, manifest) for manifest in manifests[:limit]],
        "count": len(manifests),
        "latest": latest,
        "unreadable": unreadable[:_LISTED],
        "unreadable_count": len(unreadable),
        "in_progress": partial,
        "others": [] if manifests or unreadable else _others(place)[:_LISTED],
        "lease": {**lease.describe(), "progress": _progress(place, lease.run_id)} if lease else None,
        "last_failure": _last_failure(place),
        "id": chosen["id"] if chosen else None,
        "path": path,
        "manifest": chosen,
        "pools": _pools(place, chosen) if chosen else {},
        "manifest_sha256": sha256_file(os.path.join(path, MANIFEST)) if path else None,
    }


def _read_all(place: Place) -> tuple[list[dict[str, t.Any]], list[dict[str, str]], int]:
    manifests, unreadable, partial = [], [], 0
    try:
        names = sorted(os.listdir(place.sets))
    except FileNotFoundError:
        return [], [], 0
    except OSError as error:
        raise SetError(f"Reading of '{place.sets}'", str(error.strerror)) from error
    for name in names:
        if name.startswith((PARTIAL, ABANDONED)):
            partial += name.startswith(PARTIAL)
            continue
        try:
            manifests.append(read_manifest(place, name))
        except SetError as error:
            unreadable.append({"name": os.fsencode(name).decode("utf-8", "replace"), "reason": error.why})
    return manifests, unreadable, partial


def read_manifest(place: Place, name: str) -> dict[str, t.Any]:
    """The manifest of a complete set; SetError says why it is none."""
    what = f"Reading of set '{name}' of '{place.instance}' in '{place.root}'"
    if not ID.fullmatch(name):
        raise SetError(what, "its name is not that of a set")
    if os.path.islink(place.set(name)):
        raise SetError(what, "it is a link")
    if not os.path.isfile(os.path.join(place.set(name), SUMS)):
        raise SetError(what, f"it has no {SUMS}")
    try:
        with open(os.path.join(place.set(name), MANIFEST), encoding="utf-8") as stream:
            manifest = json.load(stream)
    except FileNotFoundError as error:
        raise SetError(what, f"it has no {MANIFEST}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise SetError(what, f"its {MANIFEST} cannot be read: {error}") from error
    version = manifest.get("format") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise SetError(what, f"its format is {version} and this collection knows {FORMAT}", "Install a newer one")
    wrong = problems(manifest)
    for key, value in (("id", name), ("instance", place.instance)):
        if not wrong and manifest[key] != value:
            wrong.append(f"its manifest says {key} '{manifest[key]}' and its folder '{value}'")
    if wrong:
        raise SetError(what, "; ".join(wrong[:5]))
    return dict(manifest)


def doubts(place: Place, manifest: dict[str, t.Any]) -> list[str]:
    """What does not fit between a set that was just made and those beside it."""
    what = f"Publish of set '{manifest['id']}' of '{place.instance}' in '{place.root}'"
    found = []
    names = [manifest["id"]]
    with contextlib.suppress(OSError):  # it is a set all the same
        names = sorted(name for name in os.listdir(place.sets) if ID.fullmatch(name))
    if names[-1] > manifest["id"]:
        found.append(
            f"{what}: '{names[-1]}' has a later date, so that one is the latest. "
            "Set the clock of the database right, which dates sets, and remove those of the future."
        )
    for name in reversed([name for name in names if name < manifest["id"]]):
        with contextlib.suppress(SetError):
            here, there = _database(manifest), _database(read_manifest(place, name))
            if here != there:
                found.append(
                    f"{what}: it is of database {here}, and the set before it, '{name}', of {there}. "
                    "If these are two servers, give each a nuxeo_instance of its own."
                )
            break
    return found


def _database(manifest: dict[str, t.Any]) -> str:
    """Which database it is; of an embedded one only what it is named."""
    server = manifest["database"].get("server") or {}
    return f"'{manifest['nuxeo']['database'].get('name')}' of server {server.get('system_identifier', 'unknown')}"


def _choose(
    place: Place, wanted: str, manifests: list[dict[str, t.Any]], unreadable: list[dict[str, str]]
) -> dict[str, t.Any]:
    what = f"Choice of set '{wanted}' of '{place.instance}' in '{place.root}'"
    for bad in unreadable:
        if bad["name"] == wanted:
            raise SetError(what, bad["reason"], "Choose another one")
    chosen = [manifest for manifest in manifests if wanted in (LATEST, manifest["id"])]
    newer = [bad for bad in unreadable if chosen and ID.fullmatch(bad["name"]) and bad["name"] > chosen[0]["id"]]
    if wanted == LATEST and newer:  # nobody has asked for an older one
        raise SetError(
            what,
            f"the newest, '{newer[-1]['name']}', is damaged: {newer[-1]['reason']}",
            f"Name another one by its id, the newest that can be read is '{chosen[0]['id']}', or remove the damaged",
        )
    if chosen:
        return chosen[0]
    ids = ", ".join(str(manifest["id"]) for manifest in manifests[:5])
    why = f"there is no such set, the newest are {ids}" if ids else "there is no complete set"
    if unreadable:
        why += f"; not readable: {', '.join(bad['name'] for bad in unreadable[:5])}"
    if not manifests and not unreadable and (others := _others(place)):
        why += f"; the root has sets of {', '.join(others[:10])}"
        todo = (
            "Give the host the one that it is as nuxeo_instance in the inventory, "
            "or name the source of a clone in restore_from_instance"
        )
        raise SetError(what, why, todo)
    raise SetError(what, why, "Run a backup first, or look whether the backup root and the instance are the right ones")


def _others(place: Place) -> list[str]:
    """The instances that have sets in this root, as far as it may be seen."""
    names: list[str] = []
    with contextlib.suppress(PermissionError):
        names = sorted(os.listdir(place.root))
    found = (Place(place.root, name) for name in names if is_instance(name))
    return [other.instance for other in found if other.instance != place.instance and os.path.isdir(other.sets)]


def _summary(place: Place, manifest: dict[str, t.Any]) -> dict[str, t.Any]:
    keys = ("id", "backup_date", "started", "finished", "kind", "leader", "bytes", "files", "uncovered")
    return {
        **{key: manifest[key] for key in keys},
        "path": place.set(manifest["id"]),
        "version": manifest["nuxeo"]["version"],
        "database": manifest["nuxeo"]["database"]["kind"],
        "blobs": count_blobs(manifest),
    }


def count_blobs(manifest: dict[str, t.Any]) -> int:
    """How many blobs a set refers to, in all its stores."""
    stores = [store for store in manifest["blobs"].values() if isinstance(store, dict)]
    return sum(store["keys"] for store in stores if isinstance(store.get("keys"), int))


def _pools(place: Place, manifest: dict[str, t.Any]) -> dict[str, str]:
    """Where the blobs of each store are. A store without such a word would be neither verified nor restored."""
    found = {}
    for provider, store in manifest["blobs"].items():
        where = store.get("pool") if isinstance(store, dict) else None
        if not isinstance(where, str) or not where:
            what = f"Reading of set '{manifest['id']}' of '{place.instance}' in '{place.root}'"
            raise SetError(
                what, f"its manifest does not say where the blobs of store '{provider}' are", "Choose another"
            )
        found[provider] = place.pool(where)
    return found


def _progress(place: Place, run_id: str) -> dict[str, t.Any] | None:
    """How far the step is that told it last; None when no step does. It changes while one looks.

    The file of the cut is a sign of life as well, and says nothing of a step.
    """
    found: tuple[float, dict[str, t.Any] | None] = (0.0, None)
    with contextlib.suppress(OSError):
        for name in os.listdir(place.partial(run_id)):
            if BEAT.fullmatch(name) and name.endswith(".json"):
                path = os.path.join(place.partial(run_id), name)
                with contextlib.suppress(OSError, ValueError), open(path, encoding="utf-8") as stream:
                    told = json.load(stream)
                    if isinstance(told, dict) and "phase" in told:
                        found = max(found, (os.stat(path).st_mtime, told), key=lambda one: one[0])
    return found[1]


def _last_failure(place: Place) -> dict[str, t.Any] | None:
    try:
        with open(place.failed, encoding="utf-8") as stream:
            value = json.load(stream)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
