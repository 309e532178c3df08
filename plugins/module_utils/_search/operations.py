# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what the modules do, from their options to their results."""

from __future__ import annotations

import time
import typing as t

from .._progress import Progress
from . import indices, preflight, repository, sequences, snapshot
from .client import Client
from .engine import Engine, read_engine
from .errors import SearchError
from .record import read_record, record, write_record
from .restore import Item, Request, Restore
from .trim import milliseconds
from .wait import Deadline

Params = t.Mapping[str, t.Any]
_OF_AN_ALIAS = ("filter", "index_routing", "search_routing", "is_write_index", "is_hidden")
"""What engines tell of an alias. Where one does not know the last two, none that it can read from has told them."""


def _beat(progress: Progress) -> snapshot.Beat:
    if not progress.path:
        return snapshot.silent

    def beat(done: int, total: int | None) -> None:
        progress.update(done, total)
        progress.check()

    return beat


def make_snapshot(client: Client, params: Params, check_mode: bool) -> dict[str, t.Any]:
    """es_snapshot, state present."""
    began = time.monotonic()
    where, name = params["repository"], params["name"]
    engine = read_engine(client)
    plan = preflight.for_snapshot(client, engine, where, params["indices"])
    registered = not any("is not registered" in warning for warning in plan.warnings)
    existing = snapshot.find(client, where, name) if registered else None
    what = f"Snapshot '{name}' in repository '{where}' on {client.where}"
    if not existing:
        problems = plan.problems + ([] if registered or check_mode else plan.warnings)
        preflight.raise_all(what, problems, "Nothing was made. Repair these, then run again")
    result = _empty_result(plan, began, changed=existing is None)
    if check_mode:
        return {**result, "diff": _diff(existing, {"name": name, "indices": plan.indices}), "snapshot": existing or {}}
    deadline = Deadline(params["wait_timeout"])
    with Progress(params["progress"], "search snapshot") as progress:
        maker = snapshot.Maker(client, where, name, plan.indices, deadline=deadline, beat=_beat(progress))
        found, documents, values = _make(maker, params, existing)
    result["snapshot"] = found
    result["diff"] = _diff(existing, {"name": name, "indices": found["indices"]})
    if found["state"] not in snapshot.RUNNING:
        snapshot.judge(client, where, found, plan.indices)
        result.update(snapshot.bytes_of(client, where, name))
        result["record"] = {
            **record(client, engine, where, snapshot=found, requested=plan.requested, documents=documents),
            "sequences": {"name": params["sequences"] or "", "values": values},
        }
        if params["record_path"]:
            write_record(params["record_path"], result["record"])
    return {**result, "duration": time.monotonic() - began}


def _make(
    maker: snapshot.Maker, params: Params, existing: dict[str, t.Any] | None
) -> tuple[dict[str, t.Any], dict[str, indices.Documents], dict[str, int]]:
    """The snapshot, and what can be said about its contents: nothing when it was not made here."""
    if existing:
        waits = existing["state"] in snapshot.RUNNING and params["wait"]
        return (maker.wait() if waits else existing), {}, {}
    repository.verify(maker.client, maker.repository)  # a store that nodes do not share gives SUCCESS, and no restore
    counter = indices.Counter(maker.client, maker.indices)
    values = sequences.read(maker.client, params["sequences"]) if params["sequences"] else {}
    if not params["wait"]:
        maker.start(params["metadata"])
        return maker.found() or {"state": snapshot.RUNNING[0], "name": maker.name, "indices": []}, {}, values
    found = snapshot.make(maker, params["metadata"])
    snapshot.judge(maker.client, maker.repository, found, maker.indices)
    return found, counter.result(), values


def _empty_result(plan: preflight.Plan, began: float, *, changed: bool) -> dict[str, t.Any]:
    return {
        "changed": changed,
        "snapshot": {},
        "requested": plan.requested,
        "record": {},
        "bytes": 0,
        "bytes_added": 0,
        "duration": time.monotonic() - began,
        "told": plan.warnings,
    }


def _diff(before: dict[str, t.Any] | None, after: dict[str, t.Any] | None) -> dict[str, t.Any]:
    old = {"name": before["name"], "indices": before["indices"]} if before else {}
    return {"before": old, "after": after or {}}


def remove_snapshot(client: Client, params: Params, check_mode: bool) -> dict[str, t.Any]:
    """es_snapshot, state absent."""
    began = time.monotonic()
    existing = snapshot.find(client, params["repository"], params["name"])
    if existing and not check_mode:
        snapshot.remove(client, params["repository"], params["name"], Deadline(params["wait_timeout"]))
    plan = preflight.Plan({}, [], [], [])
    return {**_empty_result(plan, began, changed=existing is not None), "diff": _diff(existing, None)}


def restore(client: Client, params: Params, check_mode: bool) -> dict[str, t.Any]:
    """es_snapshot_restore."""
    began = time.monotonic()
    engine: Engine = read_engine(client)
    run = Restore(client, engine, restore_request(params), Deadline(params["wait_timeout"]))
    changed = run.plan()
    before = {name: sorted(there) for name, there in run.standing.items() if there}
    removed, aside = (run.actions()[1:]) if changed else ([], [])
    if changed and not check_mode:
        with Progress(params["progress"], "search restore", "shards") as progress:
            run.run(_beat(progress))
            progress.check(look=True)  # whoever took this run's place may restore another set under the same names
            run.swap()
    items = sorted(run.request.items, key=lambda item: (item.target, item.index))
    return {
        "changed": changed,
        "indices": [
            {
                "source": item.source,
                "names": item.names,
                "index": item.index,
                "documents": item.count,
                "trimmed": item.trimmed,
            }
            for item in items
        ],
        "removed": sorted([*removed, *run.leftovers]),
        "kept_aside": aside,
        "cluster": run.engine.cluster_uuid,
        "diff": {"before": before, "after": {name: [item.index] for item in items for name in item.names}},
        "duration": time.monotonic() - began,
    }


def restore_request(params: Params) -> Request:
    """What to restore, from the options and the record of the set."""
    kept = params["record"] or (read_record(params["record_path"]) if params["record_path"] else {})
    requested = kept.get("requested", {})
    names = params["indices"] or sorted(requested)
    trim = params["trim"] or {"indices": [], "newer_than": None}
    strange = sorted({*params["rename"], *params["aliases"], *trim["indices"]} - set(names))
    if strange or not names:
        what = f"Restore of snapshot '{params['name']}'"
        why = f"{', '.join(strange)} is not among the indices to restore" if strange else "no index is named"
        raise SearchError(what, why, f"Those are {', '.join(names)}" if names else "Name some as indices")
    items = [_item(params, kept, name, source) for name in names for source in requested.get(name, [name])]
    for item in items:
        for name in item.names:
            indices.check_name(name)
    return Request(
        params["repository"],
        params["name"],
        items,
        uuid=kept.get("snapshot", {}).get("uuid", ""),
        cluster=kept.get("cluster", {}).get("uuid", ""),
        overwrite=params["overwrite"],
        newer_than=milliseconds(trim["newer_than"]) if trim["newer_than"] else None,
        index_settings=params["index_settings"],
        ignore_index_settings=params["ignore_index_settings"],
    )


def _item(params: Params, kept: dict[str, t.Any], name: str, source: str) -> Item:
    """One index on its way, with what the record knows of it."""
    known: dict[str, t.Any] = next((each for each in kept.get("indices", []) if each["name"] == source), {})
    target = str(params["rename"].get(name, name))
    trim = params["trim"] or {"indices": [], "field": ""}
    return Item(
        source,
        target,
        _aliases(known, name, target, params["aliases"].get(name, [])),
        documents=_documents(known),
        created=known.get("created"),
        trim_field=trim["field"] if name in trim["indices"] else "",
        sequences=_numbers(kept, name),
        audit=(kept.get("sequences") or {}).get("name", "") not in ("", name),
    )


def _aliases(known: dict[str, t.Any], name: str, target: str, further: list[str]) -> dict[str, dict[str, t.Any]]:
    """All names of a restored index, each with what the alias had: the engine finds, filters and writes by that.

    Those that go with a name, as ``acme-audit-write`` does with ``acme-audit``, come along under the new name. An index
    that was kept aside once and has its name again may still have the alias of that time: it says nothing now.
    """
    had = {
        alias: {key: body[key] for key in _OF_AN_ALIAS if key in body}
        for alias, body in known.get("aliases", {}).items()
        if alias != indices.aside_alias(known["name"])
    }
    siblings = {target + alias[len(name) :]: body for alias, body in had.items() if alias.startswith(f"{name}-")}
    return {**dict.fromkeys([target, *further], had.get(name, {})), **siblings}


def _documents(known: dict[str, t.Any]) -> indices.Documents | None:
    if known.get("documents_at_least") is None:
        return None
    return indices.Documents(known.get("documents"), known["documents_at_least"], known["documents_at_most"])


def _numbers(kept: dict[str, t.Any], name: str) -> dict[str, int] | None:
    """The sequences that an index held, where it is known which index that is."""
    noted = kept.get("sequences") or {}
    if noted.get("name") != name or len(kept.get("requested", {}).get(name, [])) != 1:
        return None
    return {key: int(value) for key, value in noted["values"].items()}
