# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a restore will do to its target, and every problem that stands in its way."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._blobs.errors import BlobError
from .._blobs.options import RSH
from .._blobs.store import read_config, settings
from .._files.at import is_inside
from .._search.audit import is_embedded, opening_problems
from .already import conf_problems, is_there, lacking_problems
from .clones import clone_problems, place_problems, shared_problems
from .folders import access_problems, inner_problems, leader_files, left_out, mount_problems, own_folder, owner_problems
from .marker import Marker
from .plan_words import audit_lines, index_lines, node_lines, set_lines
from .preflight import POOLED_BLOBS, disagreements, node_problems
from .space import space_problems
from .streams import file_problems, left_lines, prefix_problems
from .trees import WORKS, engine_place, h2_place

Facts = t.Dict[str, t.Any]
Manifest = t.Dict[str, t.Any]
LISTED = 5


def _line(version: str) -> str:
    """The line within which data can be exchanged: ``10.10-HF45`` is of ``10``, ``2021.48`` of ``2021``."""
    return version.split(".", maxsplit=1)[0]


def kind_problems(manifest: Manifest, target: Facts) -> list[str]:
    """A set goes onto a server of its own kind: version, database, blob stores."""
    source = manifest["nuxeo"]
    problems = []
    if _line(str(source["version"])) != _line(str(target["version"])):
        problems.append(
            f"Restore onto Nuxeo {target['version']}: the set is of Nuxeo {source['version']}. "
            "Restore onto a server of the same line, then upgrade that."
        )
    kinds = source["database"]["kind"], target["database"]["kind"]
    if kinds[0] != kinds[1]:
        problems.append(
            f"Restore of a {kinds[0]} database: nuxeo.conf of the target says {kinds[1]}. "
            "Name the template in nuxeo.templates, or by restore_properties."
        )
    elif kinds[0] == "h2" and h2_place(source) != h2_place(target):
        problems.append(
            f"Restore of the H2 database: in the set it is '{h2_place(source)}' of the data folder, and the target "
            f"opens '{h2_place(target)}', where it would make an empty one. Leave restore_database_name away, or set "
            "nuxeo.db.name and nuxeo.db.jdbc.url as the source had them."
        )
    return problems + audit_problems(manifest, target)


def audit_problems(manifest: Manifest, target: Facts) -> list[str]:
    """Audit and sequences go back into a search engine when they came from one; of a cold set from an embedded one with
    the files.
    """
    saved = (manifest.get("audit") or {}).get("names", {})
    source = manifest["nuxeo"]
    in_files = [
        name
        for name in ("audit", "sequences")
        if (source.get(name) or {}).get("kept") == "elasticsearch"
        and is_embedded(source)
        and name not in saved
        and f"{name}:elasticsearch" not in manifest.get("uncovered", ())
    ]
    problems = []
    for name in [*saved, *in_files]:
        kept = (target.get(name) or {}).get("kept")
        there = f"{_kind(target)} search engine" if kept == "elasticsearch" else str(kept)
        here = f"{_kind(source)} search engine"
        if here != there:
            problems.append(
                f"Restore of {name}: the set has it from {here}, and nuxeo.conf of the target keeps it in {there}. "
                "Configure the target as the source was, or by restore_properties."
            )
        elif name in in_files and engine_place(source) != engine_place(target):
            problems.append(
                f"Restore of {name}: in the set its engine has '{engine_place(source)}' of the data folder, in the "
                f"target '{target[name].get('path')}'. Set nuxeo.opensearch1.embed.dataPath to that folder, in "
                "nuxeo.conf or by restore_properties."
            )
    return problems


def _kind(facts: Facts) -> str:
    return "an embedded" if is_embedded(facts) else "an external"


def store_plan(
    manifest: Manifest, target: Facts, further: t.Sequence[dict[str, t.Any]]
) -> tuple[list[dict[str, t.Any]], list[str]]:
    """Where each blob store of the set goes, as blob_rsync takes it; and what does not fit."""
    stores, problems = [], []
    known = {store["provider"]: store for store in [*target["blobs"], *further]}
    default = next((store["provider"] for store in manifest["nuxeo"]["blobs"]), None)
    for provider, saved in sorted(manifest["blobs"].items()):
        store = known.get(provider)
        if store is None:
            problems.append(
                f"Restore of blob store '{provider}': the target has no store of that name. "
                "Configure it there, or give it in restore_blob_stores."
            )
            continue
        kind = POOLED_BLOBS.get(store["kind"], store["kind"])
        if kind != saved["kind"] or (kind == "digest" and _has_another_digest(store, saved)):
            problems.append(
                f"Restore of blob store '{provider}': the set has {saved['kind']} {saved['digest']}, the target {kind} "
                f"{store.get('digest')}. Configure the target's store as the source's was."
            )
        stores.append(
            {
                "provider": provider,
                "path": store["path"],
                "kind": saved["kind"],
                "digest": saved["digest"],
                "depth": store.get("depth") if saved["kind"] == "record" else saved["depth"],
                "keys": saved["keys"],
                "default": provider == default,
            }
        )
    return stores, problems


def _has_another_digest(store: dict[str, t.Any], saved: dict[str, t.Any]) -> bool:
    """Whether a store has another digest than the set, where that does not bring it in its config.xml."""
    config = saved.get("config_xml")
    brought = settings(config, "config.xml", saved["kind"], None, None)[1] if config else None
    return bool(store.get("digest")) and saved["digest"] not in (store["digest"], brought)


def kept_in_place(stores: t.Sequence[dict[str, t.Any]], data_dir: str) -> list[str]:
    """Stores that stay where they are: those elsewhere, and those in the data folder whose blobs never change under
    their key. One whose root is the data folder is moved aside with it.
    """
    above = os.path.realpath(data_dir)
    return [
        store["path"]
        for store in stores
        if store["path"]
        and os.path.realpath(store["path"]) != above
        and (store["kind"] == "digest" or not is_inside(store["path"], above))
    ]


def emptied(stores: t.Sequence[dict[str, t.Any]], keep: t.Sequence[str]) -> list[str]:
    """Those that stay and hold records: other bytes under a key would be lost, so what they hold is moved aside."""
    return [store["path"] for store in stores if store["path"] in keep and store["kind"] == "record"]


def tree_plan(
    manifest: Manifest, target: Facts, stores: list[dict[str, t.Any]]
) -> tuple[list[dict[str, str]], list[str]]:
    """Where each folder of files in the set goes."""
    places = {"data": target["data_dir"], **{f"store-{store['provider']}": store["path"] for store in stores}}
    works = (target.get("streams") or {}).get("big_works")
    if WORKS in manifest["trees"] and works:
        places[WORKS] = works
    trees = [{"name": name, "dest": places[name]} for name in manifest["trees"] if name in places]
    return trees, [
        f"Restore of files '{name}': nobody knows where they go. Give the store in restore_blob_stores."
        for name in manifest["trees"]
        if name not in places and name != WORKS  # of a target without queues nobody would miss them
    ]


def occupied(folder: str) -> list[str]:
    """What lies in a data folder beside what this collection left there itself; empty for one that is absent."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    return [name for name in names if not name.startswith(".nuxeo-platform-") and name != "lost+found"]


def full_problems(data_dir: str, nodes: t.Iterable[dict[str, t.Any]], accepted: bool) -> list[str]:
    """A data folder that holds anything is refused, unless it is the operator's will or our own work."""
    found = {
        ", ".join(node["occupied"])
        for node in nodes
        if node.get("occupied") and (node.get("marker") or {}).get("status") != "begun"
    }
    return [
        f"Restore into data folder '{data_dir}': it is not empty, it holds {names}. "
        "Give an empty one by restore_data_dir, or set restore_overwrite to true: what is there is then kept aside."
        for names in sorted(found)
        if not accepted
    ]


def store_problems(
    manifest: Manifest, data_dir: str, stores: t.Sequence[dict[str, t.Any]], marker: Marker | None, accepted: bool
) -> list[str]:
    """A store elsewhere that holds anything is refused likewise, and one whose blobs lie in another way."""
    marker = marker or {}
    begun = marker.get("status") == "begun"
    ours = (marker.get("replaces") or {}).get("stores", ()) if begun else ()
    problems = []
    for store in stores:
        path = store["path"]
        within = path and is_inside(path, os.path.realpath(data_dir))
        if accepted or not path or path in ours or (within and begun):
            continue
        what = f"Restore of blob store '{store['provider']}' to '{path}'"
        todo = "Give the store another place, or set restore_overwrite to true"
        try:
            found = [] if within else occupied(path)
        except OSError as error:
            problems.append(f"{what}: it cannot be looked at: {error.strerror}. Is its volume mounted?")
            continue
        if found:
            then = "what it holds is then kept aside in it" if store["kind"] == "record" else "its blobs then stay"
            problems.append(f"{what}: it is not empty, it holds {', '.join(found[:LISTED])}. {todo}: {then}.")
        problems += _layout_problems(
            what, path, store["kind"], manifest["blobs"][store["provider"]].get("config_xml"), todo
        )
    return problems


def _layout_problems(what: str, path: str, kind: str, saved: str | None, todo: str) -> list[str]:
    """Another depth or digest in the config.xml that would be replaced: what is there would not be found any more."""
    layout = os.path.join(path, "config.xml")
    if kind == "record" or not os.path.isfile(layout):
        return []
    try:
        here, there = (settings(text, layout, kind, None, None) for text in (read_config(path), saved or ""))
    except BlobError as error:
        return [str(error)]
    if here == there:
        return []
    return [
        f"{what}: its config.xml says {here[1]}, depth {here[0]}, and that of the set {there[1]}, {there[0]}. {todo}."
    ]


def fixed_problems(nodes: dict[str, dict[str, t.Any]], data_dir: str, keep: t.Sequence[str]) -> list[str]:
    """What cannot be changed: mounts in the data folder, stores that stay, the nodes' nuxeo.conf."""
    fixed = [f"Node '{name}': {why}" for name, node in sorted(nodes.items()) for why in node.get("fixed", ())]
    return mount_problems(data_dir, keep) + access_problems(keep) + fixed


def blind_problems(manifest: Manifest, path: str, blind: t.Sequence[str]) -> list[str]:
    """A node whose own files are in the set takes them out of it itself."""
    return [
        f"Restore of the files of node '{name}': set '{path}' has them, and the node does not see it. "
        "Mount the backup root there, as it was when the set was made."
        for name in blind
        if manifest["nodes"].get(name)
    ]


@dataclasses.dataclass(frozen=True)
class Wish:
    """A restore that is asked for, as restore_plan has it."""

    instance: str
    manifest: Manifest
    nodes: dict[str, dict[str, t.Any]]
    """As for :func:`preflight.plan`; beside the facts ``marker`` and ``occupied`` of the data folder that the node sees
    (nodes share one, or each has its own), and ``fixed``, why it cannot be changed or started."""
    leader: str
    target: Facts
    """The facts that nuxeo.conf will give once the wanted properties are set; empty when it could not be read."""
    path: str
    """The folder of the set."""
    pools: dict[str, str]
    """Where the blobs of each store of the set are."""
    rsh: t.Sequence[str] = RSH
    """How those on another host are reached."""
    blind: t.Sequence[str] = ()
    """Nodes that do not see the set."""
    database: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    """What the check of the database said: ``changed``, ``server``, ``name``; empty when it failed."""
    audit: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    """``names``, what of the set goes under which name of the search engine, and what the check of that said:
    ``changed``, ``removed``, ``kept_aside``, ``cluster``."""
    blob_stores: t.Sequence[dict[str, t.Any]] = ()
    """Stores of the target that its nuxeo.conf does not name."""
    overwrite: bool = False
    drop_index: t.Sequence[str] = ()
    """Addresses of the search engine whose index of documents will be deleted; none when it stays."""
    streams: bool = False
    """Whether the streams that the set has are wanted."""
    owner: str | None = None
    group: str | None = None


def plan(wish: Wish) -> dict[str, t.Any]:
    """Everything that a restore of this set onto this target will do.

    :returns: ``already`` (this very set is there, its database untouched), ``stores``, ``keep`` (the paths of those
        that stay where they are), ``emptied`` (of these, whose blobs are moved aside in them), ``providers`` (of all
        stores of the source), ``trees``, ``files_of`` and ``files_held_by`` (see :func:`folders.leader_files`),
        ``left_out`` (what of the set comes back to nobody), ``folder`` (whose a data folder is that is made),
        ``data_dir``, ``lines``, ``problems``
    """
    manifest, target = wish.manifest, wish.target
    blind = blind_problems(manifest, wish.path, wish.blind)
    if not target:  # it could not be read on the leader itself
        nothing: dict[str, t.Any] = {"already": False, "data_dir": None, "stores": [], "providers": [], "trees": []}
        nothing.update(
            {"keep": [], "emptied": [], "files_of": None, "files_held_by": None, "left_out": [], "folder": {}}
        )
        return {**nothing, "problems": node_problems(wish.nodes, True) + blind, "lines": []}
    stores, problems = store_plan(manifest, target, wish.blob_stores)
    trees, homeless = tree_plan(manifest, target, stores)
    keep = kept_in_place(stores, target["data_dir"])
    files, (already, lacking) = leader_files(manifest, wish.nodes, wish.leader), _is_already_there(wish)
    found = {
        "already": already,
        "data_dir": target["data_dir"],
        "stores": stores,
        "keep": keep,
        "emptied": emptied(stores, keep),
        "providers": sorted({store["provider"] for store in manifest["nuxeo"]["blobs"]} | set(manifest["blobs"])),
        "trees": trees,
        **files,
        "left_out": left_out(wish.path, manifest, wish.nodes, files["files_of"]),
        "folder": own_folder(wish.path, files["files_of"], wish.owner, wish.group),
    }
    problems += lacking + homeless + node_problems(wish.nodes, cold=True) + disagreements(wish.nodes, wish.leader)
    problems += kind_problems(manifest, target) + file_problems(manifest, target, wish.streams)
    problems += _source_problems(wish, stores) + _holding_problems(wish, found)
    lines = set_lines(wish.instance, manifest, target, stores, found["already"], wish.overwrite)
    lines += node_lines(manifest, wish.nodes, wish.leader, found["files_held_by"])
    lines += [f"files    {what}" for what in found["left_out"]] + audit_lines(wish.audit)
    if not already:
        hindrances, untold = _folder_problems(wish, found)
        problems += hindrances
        lines += index_lines(target, wish.drop_index) + untold + left_lines(manifest, target, wish.streams)
    return {**found, "problems": problems + blind, "lines": lines}


def _is_already_there(wish: Wish) -> tuple[bool, list[str]]:
    """Who lets it be overwritten wants all of it back, and nobody has looked at its files.

    :returns: whether it is, and what of it alone is not
    """
    if wish.overwrite:
        return False, []
    audit, of = wish.audit, (wish.leader, wish.nodes, wish.manifest, wish.streams)
    unchanged = wish.database.get("changed") is False and not (audit.get("names") and audit.get("changed", True))
    there = unchanged and all(is_there(node, wish.manifest) for node in wish.nodes.values())
    problems = lacking_problems(*of) + (conf_problems(*of) if there else [])
    return there and not problems, problems


def _source_problems(wish: Wish, stores: t.Sequence[dict[str, t.Any]]) -> list[str]:
    """What of the source's own a clone would take."""
    manifest, instance, target = wish.manifest, wish.instance, wish.target
    problems = clone_problems(manifest, instance, wish.database, wish.audit)
    problems += place_problems(manifest, instance, target, stores)
    restored = wish.streams and "streams" in manifest
    return problems + shared_problems(manifest, instance, wish.leader, wish.path, target, wish.drop_index, restored)


def _holding_problems(wish: Wish, found: dict[str, t.Any]) -> list[str]:
    """What the target's folders hold, and may not lose unasked."""
    data_dir, accepted = found["data_dir"], found["already"] or wish.overwrite
    marker = wish.nodes[wish.leader].get("marker") or {}
    problems = full_problems(data_dir, wish.nodes.values(), accepted)
    if found["already"]:  # the stores that it was restored to are its own still, and no others
        marker = {**marker, "status": "begun"}
    return problems + store_problems(wish.manifest, data_dir, found["stores"], marker, wish.overwrite)


def _folder_problems(wish: Wish, found: dict[str, t.Any]) -> tuple[list[str], list[str]]:
    """What stands in the way in the folders of the target, and what could not be told of them."""
    files = wish.path, found["files_of"]
    problems = fixed_problems(wish.nodes, found["data_dir"], found["keep"])
    problems += prefix_problems(wish.nodes, wish.streams and "streams" in wish.manifest)
    if (wish.manifest.get("audit") or {}).get("embedded") and is_embedded(wish.target):
        problems += opening_problems(wish.target)
    lacking, untold = space_problems(*files, found, wish.pools, wish.rsh)
    problems += lacking + owner_problems(*files, found["trees"], wish.owner, wish.group)
    return problems + inner_problems(wish.path, wish.target), untold
