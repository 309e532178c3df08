# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what of an instance is to be saved by snapshot, where, and all that stands in the way."""

from __future__ import annotations

import os
import typing as t

from .._errors import PlatformError
from . import audit, folder, preflight, repository, rights
from .client import Client
from .engine import read_engine

Params = t.Mapping[str, t.Any]


def look(params: Params, connect: t.Callable[[], Client]) -> dict[str, t.Any]:
    """es_audit_info. What cannot be looked at is a problem, told with the others.

    :param connect: makes the client; not called where nothing is to be saved
    """
    found = audit.store(params["facts"], params["left_out"])
    embedded = audit.is_embedded(params["facts"]) and not params["embedded_open"]
    result: dict[str, t.Any] = {
        "names": {} if embedded else found.names,
        "indices": [] if embedded else found.indices,
        "sequences": "" if embedded else found.sequences,
        "repository": params["repository"] or params["name"],
        "own": not params["repository"],
        "location": params["location"],
        "owner": "",
        "problems": [],
        "warnings": [],
    }
    if not result["indices"]:
        return result
    result["problems"] = [] if params["url"] else _apart(params["facts"], found)
    if result["problems"]:
        return result
    try:
        client = connect()
        problems = _problems(client, params, result)
        where = f"Snapshot of {', '.join(found.indices)} on {client.where}"
        result["problems"] = [f"{where}: {problem}." for problem in problems]
    except PlatformError as error:
        result["problems"] = [str(error)]
    return result


def _apart(facts: audit.Facts, found: audit.Store) -> list[str]:
    """Since 2025 audit and sequences may be in two clusters, and one snapshot holds what is in one.

    Where the sequences alone are to be saved, the client of the audit would still be taken from nuxeo.conf.
    """
    places = audit.places(facts)
    if len(set(filter(None, places.values()))) < 2 or not found.sequences:
        return []
    why = "one snapshot cannot hold both"
    todo = "Save one of them by other means and list it in backup_accept_uncovered"
    if not found.audit:
        why = "the audit's engine would be asked"
        todo = "Say that of the sequences by backup_search_url, and its login by backup_search_user"
    listed = " and ".join(f"the {kind} {where}" for kind, where in places.items())
    return [f"Snapshot of {', '.join(found.indices)}: {listed} are apart, and {why}. {todo}."]


def _problems(client: Client, params: Params, result: dict[str, t.Any]) -> list[str]:
    name = result["repository"]
    lacking = rights.for_snapshot(client, result["indices"], own=result["own"])
    if lacking:  # the rest cannot be looked at
        return lacking
    engine = read_engine(client)
    result["owner"] = folder.owner_of(engine, params["owner"])
    registered = repository.definition(client, name)
    own = result["own"] = result["own"] or _is_ours(name, registered, params)
    plan = preflight.for_snapshot(client, engine, name, result["indices"])
    result["warnings"] = [text for text in plan.warnings if not own or "not registered" not in text]
    if not own:
        missing = [f"the repository '{name}' of backup_audit_repository is not registered"]
        return plan.problems + (missing if registered is None else [])
    wanted = repository.as_engine({"location": params["location"], "compress": True})
    found = plan.problems + folder.closed_to_us(params["location"])
    if registered and registered["type"] == "fs" and _placed(registered["settings"]) == _placed(wanted):
        return found  # perhaps in another spelling, which its registration sets right
    if registered is not None:
        found.append(f"its repository '{name}' is registered already, {_otherwise(registered, wanted)}")
        if registered["type"] != "fs":
            return found
    todo = f"set it in the node's {engine.distribution}.yml so that '{params['location']}' is in it, and restart it"
    inside = [f"{problem}: {todo}" for problem in repository.path_problems(client, wanted)]
    return found + inside + folder.problems(params["location"], result["owner"], params["opened"])


def _placed(settings: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {**settings, "location": os.path.normpath(str(settings.get("location", "")))}


def _is_ours(name: str, registered: dict[str, t.Any] | None, params: Params) -> bool:
    """Whether a repository that backup_audit_repository names is the one that the role would make: it has its place."""
    return name == params["name"] and registered is not None and registered["type"] == "fs"


def _otherwise(registered: dict[str, t.Any], wanted: t.Mapping[str, str]) -> str:
    """How a repository that has the name of the instance's own differs from it, and what to do."""
    settings, place = registered["settings"], wanted["location"]
    if registered["type"] != "fs":
        todo = "give this instance another name, or name the repository as backup_audit_repository"
        return f"with other settings ({registered['type']}): {todo}"
    there = str(settings.get("location", ""))
    remove = "remove the registration, which leaves the snapshots (nuxeo.platform.es_repository, state=absent)"
    if _placed(settings)["location"] != _placed(wanted)["location"]:
        todo = f"if the backup root has moved, copy that folder to '{place}', {remove} and run again"
        return f"at '{there}' instead of '{place}': {todo}; if it is another instance's, give this one another name"
    differ = sorted({*settings, *wanted} - {"location"} - {key for key in wanted if settings.get(key) == wanted[key]})
    todo = f"{remove} and run again; to keep them, register it under another name and say that"
    return f"with other settings ({', '.join(differ)}): {todo} as backup_audit_repository"
