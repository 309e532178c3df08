# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a set is read again, every byte of it."""

from __future__ import annotations

import json
import os
import typing as t

from .._deps import numbers
from .._files.entry import FilesError, read_tree_list
from .._progress import Progress
from .listing import LATEST, list_sets
from .place import Place, SetError
from .publish import LINKS, MANIFEST
from .sums import SUMS, default_jobs, hash_all, read_sums, walk

Run = t.Callable[[t.Sequence[str]], t.Tuple[int, str, str]]
_LISTED = 20


class Verifier:
    """Collects what is bad; counts are exact, the list holds the first.

    :param clients: programs ``pg_restore`` by their major version; None where another reads the dump, or nobody has to
    """

    def __init__(
        self, place: Place, wanted: str, progress: Progress, run: Run, clients: t.Optional[t.Mapping[int, str]]
    ) -> None:
        chosen = list_sets(place, wanted or LATEST, 0)
        self.place = place
        self.path = str(chosen["path"])
        self.manifest: dict[str, t.Any] = chosen["manifest"]
        self.progress = progress
        self.run = run
        self.clients = clients
        self.bad: list[dict[str, str]] = []
        self.bad_count = 0
        self.files = 0
        self.bytes = 0
        self.key_lists = 0
        self.dump_listed = False
        self.not_run = ""

    def found(self, path: str, problem: str) -> None:
        self.bad_count += 1
        if len(self.bad) < _LISTED:
            self.bad.append({"path": os.fsencode(path).decode("utf-8", "replace"), "problem": problem})

    def all(self) -> dict[str, t.Any]:
        """Check everything; SetError when anything is bad, with the same result."""
        try:
            self.sums()
            self.blob_lists()
            self.dump()
        except OSError as error:
            raise SetError(f"Check of set '{self.manifest['id']}'", f"{error.strerror} ('{error.filename}')") from error
        result = {
            "id": self.manifest["id"],
            "path": self.path,
            "backup_date": self.manifest["backup_date"],
            "files": self.files,
            "bytes": self.bytes,
            "key_lists": self.key_lists,
            "dump_listed": self.dump_listed,
            "bad": sorted(self.bad, key=lambda bad: bad["path"]),
            "bad_count": self.bad_count,
        }
        if self.bad_count:
            first = "; ".join(f"{bad['path']}: {bad['problem']}" for bad in self.bad[:3])
            raise SetError(
                f"Check of set '{self.manifest['id']}' of '{self.place.instance}' in '{self.place.root}'",
                f"{self.bad_count} bad, the first: {first}",
                "Do not restore from it: use another set, and check the disk",
                result,
            )
        if self.not_run:
            raise SetError(
                f"Check of the dump of set '{self.manifest['id']}' by pg_restore",
                self.not_run,
                "Install it, or name its folder by bin_dir. All else of the set was read, and is as recorded",
                result,
            )
        return result

    def sums(self) -> None:
        """Every file is listed and as listed; every link is listed; nothing else is there."""
        sums = read_sums(self.path)
        there = walk(self.path)
        sizes = {path: size for path, size in there.files.items() if path != SUMS}
        for path in sorted(set(sums) - set(sizes)):
            self.found(path, "it is listed and not there")
        for path in sorted(set(sizes) - set(sums)):
            self.found(path, "it is there and not listed")
        for path in there.others:
            self.found(path, "it is neither a file nor a folder nor a link")
        self.links(there.links)
        self.progress.update(0, sum(sizes.values()))
        wanted = sorted(set(sums) & set(sizes))
        for path, size, digest in hash_all(self.path, wanted, self.progress, default_jobs(), sync=False):
            self.files += 1
            self.bytes += size
            if isinstance(digest, OSError):
                self.found(path, f"it cannot be read: {digest.strerror}")
            elif digest != sums[path]:
                self.found(path, f"its SHA-256 is {digest}, {SUMS} says {sums[path]}")
        count = len([path for path in sums if path != MANIFEST])
        if count != self.manifest["files"]:
            self.found(SUMS, f"it names {count} files beside the manifest, which says {self.manifest['files']}")

    def links(self, there: dict[str, str]) -> None:
        """A link has no checksum: they stand in a list that has one."""
        listed: dict[str, str | None] = {}
        path = os.path.join(self.path, LINKS)
        if os.path.lexists(path):
            try:
                listed = {entry.path: entry.link for entry in read_tree_list(path)}
            except FilesError as error:
                self.found(LINKS, error.why)
        for name in sorted(set(listed) | set(there)):
            if listed.get(name) != there.get(name):
                self.found(name, f"this link leads to {there.get(name)!r}, {LINKS} says {listed.get(name)!r}")

    def blob_lists(self) -> None:
        """The bases of the key lists, which sets share, are there with the digest that this set knows."""
        bases = {}
        for provider in sorted(self.manifest["blobs"]):
            path = os.path.join("blobs", f"{provider}.json")
            try:
                with open(os.path.join(self.path, path), encoding="utf-8") as stream:
                    said = json.load(stream)
                base = os.path.normpath(said["base"])
                if not base.startswith("keys/"):
                    raise ValueError(f"its base is '{base}'")
                bases[base] = said["base_sha256"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                self.found(path, f"it cannot be read: {error!r}")
        for name, size, digest in hash_all(self.place.folder, sorted(bases), self.progress, 1, sync=False):
            self.key_lists += 1
            self.bytes += size
            if digest != bases[name]:
                self.found(name, f"this list of keys, which the set shares, is missing or damaged: {digest}")

    def dump(self) -> None:
        """pg_restore can read the dump's table of contents."""
        folder = os.path.join(self.path, "database", "dump")
        made_by = numbers(str(self.manifest["database"].get("client_version", "0")))[:1] or (0,)
        if self.clients is None or not os.path.isdir(folder):
            return  # of H2 there is none; one that should be there is listed
        fit = [major for major in self.clients if major >= made_by[0]]
        if not fit:
            there = ", ".join(map(str, sorted(self.clients))) or "none"
            self.not_run = f"none of PostgreSQL {made_by[0]} or newer is on this host, of other versions {there}"
            return
        code, out, err = self.run([self.clients[min(fit)], "--list", folder])
        self.dump_listed = True
        entries = [text for text in out.splitlines() if text and not text.startswith(";")]
        if code != 0 or err.strip() or not entries:
            self.found(
                "database/dump", f"pg_restore --list ended with {code}, {len(entries)} entries: {err.strip()[:500]}"
            )
