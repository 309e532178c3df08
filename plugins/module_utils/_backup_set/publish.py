# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a partial set becomes a set. Before the rename it is not a backup; after it, it is."""

from __future__ import annotations

import contextlib
import ctypes
import datetime
import json
import os
import re
import typing as t

from .._files.at import why
from .._files.entry import LINK, Entry, write_tree_list
from .._io import fsync_directory, now, write_json
from .._progress import Progress
from .._search.audit import is_embedded, store
from .lease import Lease, locked, read, release
from .place import BEAT, Place, SetError
from .schema import FORMAT, problems
from .sums import SUMS, default_jobs, hash_all, walk, write_sums

MANIFEST = "manifest.json"
LINKS = "links.jsonl"
AUDIT = "audit.json"
_LARGE = 4096
_MANY = 200
_FRACTION = re.compile(r"\.[0-9]{1,6}Z\Z")
_LIBC = ctypes.CDLL(None, use_errno=True)


def set_id(backup_date: str) -> str:
    """The name of the set whose cut was at a time such as ``2026-11-23T02:00:04.512345Z``."""
    try:
        moment = datetime.datetime.strptime(_FRACTION.sub("Z", backup_date), "%Y-%m-%dT%H:%M:%SZ")
    except ValueError as error:
        raise SetError(f"Use of '{backup_date}' as backup date", "it is not a time in ISO 8601 with Z") from error
    return moment.strftime("%Y%m%dT%H%M%SZ")


def publish(place: Place, run_id: str, given: dict[str, t.Any], path: str | None, check: bool) -> dict[str, t.Any]:
    """Complete the manifest, write SHA256SUMS, make all durable, rename, give the lease back.

    :param given: what the role knows of the manifest
    :param path: the progress file
    :returns: ``changed``, ``path`` and the manifest's own keys
    """
    what = f"Publish of run {run_id} of '{place.instance}' in '{place.root}'"
    date = str(given.get("backup_date") or (now() if check else ""))
    name = set_id(date)
    if check:
        manifest = {**given, "backup_date": date, "id": name, "files": 0, "bytes": 0, "blobs": given.get("blobs", {})}
        return {"changed": True, "path": place.set(name), "manifest": manifest}
    try:
        done = _published(place, name, run_id)
        if done:
            return {"changed": False, "path": place.set(name), "manifest": done}
        lease = _our_lease(place, run_id, what)
        with Progress(path, "publish") as progress:
            manifest = _complete(place, run_id, {**given, "id": name, "started": lease.value.get("started")}, progress)
        _commit(place, run_id, name, what)
    except OSError as error:
        raise SetError(what, *why(error, place.root)) from error
    return {"changed": True, "path": place.set(name), "manifest": manifest}


def _published(place: Place, name: str, run_id: str) -> dict[str, t.Any] | None:
    """The manifest when this very run has published already and was killed before it could say so."""
    if not os.path.lexists(place.set(name)):
        return None
    with contextlib.suppress(OSError, ValueError, AttributeError):
        with open(os.path.join(place.set(name), MANIFEST), encoding="utf-8") as stream:
            manifest: dict[str, t.Any] = json.load(stream)
        if manifest.get("run_id") == run_id:
            with locked(place):
                fsync_directory(place.sets)  # it may have been killed between the rename and this
                release(place, run_id)
            return manifest
    raise SetError(
        f"Publish of set '{name}' in '{place.sets}'",
        "there is a set of that name: two cuts in one second",
        "Run the backup again",
    )


def _our_lease(place: Place, run_id: str, what: str) -> Lease:
    lease = read(place)
    if lease is None or lease.run_id != run_id:
        holder = f"run {lease.run_id} has it" if lease else "it is gone"
        todo = "Another run took this one's place. See that only one runs at a time, then run the backup again"
        raise SetError(what, f"the lease is not this run's any more, {holder}", todo)
    return lease


def _complete(place: Place, run_id: str, given: dict[str, t.Any], progress: Progress) -> dict[str, t.Any]:
    """Write all that belongs to the set and make it durable."""
    partial = place.partial(run_id)
    for name in (MANIFEST, SUMS, LINKS):  # of a publish that failed
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(partial, name))
    found = walk(partial)
    if found.others:
        raise SetError(f"Publish of '{partial}'", f"'{found.others[0]}' is neither a file nor a folder nor a link")
    if found.links:
        links = [Entry(path, LINK, 0o777, "", "", 0, link=link) for path, link in sorted(found.links.items())]
        write_tree_list(os.path.join(partial, LINKS), links)
        found.files[LINKS] = os.stat(os.path.join(partial, LINKS)).st_size
    if len(found.files) > _MANY:
        _sync_all(partial)
    sums, size = _read_back(partial, [path for path in found.files if not BEAT.fullmatch(path)], progress)
    manifest = _manifest(place, run_id, given, partial)
    manifest.update(files=len(sums), bytes=size, finished=now())
    wrong = problems(manifest)
    if not wrong and manifest["nuxeo"]["database"]["kind"] == "postgresql" and not manifest["database"]:
        wrong = ["the database is PostgreSQL and no dump has told anything in 'database/dump.json'"]
    if not wrong and _audit_is_missing(manifest, sums):
        wrong = ["a search engine holds audit or sequences and no snapshot has told anything in 'audit.json'"]
    if wrong:
        raise SetError(f"Publish of '{partial}'", "; ".join(wrong), "This is an error of the role that called")
    write_json(os.path.join(partial, MANIFEST), manifest)
    for folder in ("database", "blobs", "files", "conf"):
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join(partial, folder))  # when it is empty
    sums.update(_read_back(partial, [MANIFEST], progress)[0])
    write_sums(partial, sums)
    _sync_folders(partial)
    return manifest


def _audit_is_missing(manifest: dict[str, t.Any], sums: t.Mapping[str, str]) -> bool:
    facts = manifest["nuxeo"]
    in_files = is_embedded(facts) and manifest["kind"] == "cold"
    needed = not in_files and store(facts, manifest["uncovered"]).indices
    return bool(needed or "audit" in manifest) and not ("audit" in manifest and AUDIT in sums)


def _read_back(partial: str, paths: list[str], progress: Progress) -> tuple[dict[str, str], int]:
    """Hash what lies on the disk, not what somebody remembers to have written."""
    sums, total = {}, 0
    for path, size, digest in hash_all(partial, paths, progress, default_jobs(), sync=True):
        if isinstance(digest, OSError):
            digest.filename = path
            raise digest
        sums[path] = digest
        total += size
    return sums, total


def _manifest(place: Place, run_id: str, given: dict[str, t.Any], partial: str) -> dict[str, t.Any]:
    """The role's part, and what the stores have told in files of their own."""
    manifest = {"uncovered": [], **given, "format": FORMAT, "instance": place.instance, "run_id": run_id}
    databases = _told(os.path.join(partial, "database"))
    if "database" not in manifest:
        manifest["database"] = {key: member for value in databases.values() for key, member in value.items()}
    manifest.setdefault("blobs", _told(os.path.join(partial, "blobs")))
    if manifest.get("cuts"):
        manifest["cut_seconds"] = spread(manifest["cuts"].values())
    return manifest


def spread(times: t.Iterable[str]) -> float:
    """The seconds from the first of some moments to the last."""
    moments = sorted(datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")) for moment in times)
    return (moments[-1] - moments[0]).total_seconds()


def _told(folder: str) -> dict[str, dict[str, t.Any]]:
    """The JSON objects of a folder by the files' names, without members that are private, or large."""
    told = {}
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = os.path.join(folder, name)
        if name.endswith(".json") and os.path.isfile(path):
            with open(path, encoding="utf-8") as stream:
                value = json.load(stream)
            if isinstance(value, dict):
                told[name[: -len(".json")]] = {
                    key: member
                    for key, member in value.items()
                    if len(json.dumps(member)) <= _LARGE and not key.startswith("_")
                }
    return told


def _sync_all(folder: str) -> None:
    """Make a file system durable as a whole: with many files that is much faster than one by one."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _LIBC.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)
    finally:
        os.close(descriptor)


def _sync_folders(partial: str) -> None:
    """Make every name durable; the bytes are already, and those in the pool are by blob_rsync."""
    for parent, _folders, _names in os.walk(partial, topdown=False):
        if os.stat(parent).st_mode & 0o077:
            os.chmod(parent, 0o700)
        fsync_directory(parent)


def _commit(place: Place, run_id: str, name: str, what: str) -> None:
    """The moment at which there is a set."""
    partial = place.partial(run_id)
    with locked(place):
        _our_lease(place, run_id, what)
        for beat in os.listdir(partial):
            if BEAT.fullmatch(beat):
                os.unlink(os.path.join(partial, beat))
        fsync_directory(partial)
        os.rename(partial, place.set(name))
        fsync_directory(place.sets)
        release(place, run_id)
