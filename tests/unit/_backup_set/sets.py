# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets for the tests: made as the stores and modules make them, and verified by coreutils and by ours."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import subprocess
import time
import types
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import controller
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import begin
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place, SetError
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.publish import publish
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.verify import Verifier
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress

Json = t.Dict[str, t.Any]


def given(second: int = 0) -> Json:
    return {
        "backup_date": f"2026-11-23T02:00:{second:02d}.512345Z",
        "kind": "hot",
        "leader": "n1",
        "nodes": {"n1": True, "n2": False},
        "nuxeo": {"version": "2023.15", "database": {"kind": "h2", "name": "nuxeo"}},
        "uncovered": ["redis"],
    }


def fill(place: Place, partial: str) -> None:
    """What the stores write."""
    folder = pathlib.Path(partial)
    (folder / "files/n1/data/stream").mkdir(parents=True, exist_ok=True)
    (folder / "files/n1/data/stream/a.cq4").write_bytes(os.urandom(3 << 20))
    for name in (b"new\nline", b"back\\slash", b"cr\rcr", b"caf\xe9", b" lead", b"-rf", b"*star", "é".encode()):
        with open(os.fsencode(partial) + b"/files/n1/data/" + name, "wb") as stream:
            stream.write(name)
    with contextlib.suppress(FileExistsError):
        (folder / "files/n1/data/link").symlink_to("stream/a.cq4")
    (folder / "database/dump").mkdir(exist_ok=True)
    (folder / "database/dump/toc.dat").write_bytes(b"PGDMP")
    (folder / "database/dump/toc.dat").chmod(0o644)
    told = {"tables": 3, "client_version": "15.4", "_settings": ["a=secret"], "much": "x" * 9999}
    (folder / "database/dump.json").write_text(json.dumps(told))
    base = pathlib.Path(place.folder) / "keys"
    base.mkdir(exist_ok=True)
    digest = hashlib.sha256(b"abcd\n").hexdigest()
    (base / f"default-{digest}.txt").write_bytes(b"abcd\n")
    about = {
        "provider": "default",
        "keys": 7,
        "pool": "blobs/default",
        "kind": "digest",
        "base": f"keys/default-{digest}.txt",
        "base_sha256": digest,
    }
    (folder / "blobs/default.json").write_text(json.dumps(about))


def make(place: Place, second: int = 0, gone: t.Sequence[str] = ()) -> Json:
    begun = begin(place, {"node": "n1"}, timeout=900, gone=gone)
    fill(place, begun["partial"])
    return publish(place, begun["run_id"], given(second), begun["progress"], False)


def start(place: Place, timeout: float = 900, gone: t.Sequence[str] = ()) -> t.Dict[str, t.Any]:
    who = {"node": "n1", "controller": controller.identity(os.getpid())}
    return begin(place, who, timeout=timeout, gone=gone)


def grow_old(place: Place, seconds: float) -> None:
    """As if nothing had happened for some time."""
    then = time.time() - seconds
    for path in [place.lease, *pathlib.Path(place.sets).rglob("*")]:
        os.utime(path, (then, then))


def partials(place: Place) -> t.List[str]:
    return sorted(os.listdir(place.sets))


def sha256sum(folder: str) -> subprocess.CompletedProcess[str]:
    argv = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    return subprocess.run(argv, cwd=folder, check=False, capture_output=True, text=True, errors="replace")


LISTS = "a pg_restore that lists any dump"


ANY: t.Mapping[int, str] = types.MappingProxyType({15: LISTS})


def verify(place: Place, wanted: str = "latest", clients: t.Optional[t.Mapping[int, str]] = ANY) -> Json:
    def run(argv: t.Sequence[str]) -> t.Tuple[int, str, str]:
        if argv[0] == LISTS:
            return 0, "1; 2 TABLE x", ""
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    with Progress(None, "verify") as progress:
        return Verifier(place, wanted, progress, run, clients).all()


def bad(place: Place, clients: t.Mapping[int, str] = ANY) -> t.Dict[str, str]:
    with pytest.raises(SetError) as caught:
        verify(place, "latest", clients)
    assert caught.value.result["bad_count"] == len(caught.value.result["bad"])
    return {str(item["path"]): str(item["problem"]) for item in caught.value.result["bad"]}


def small(place: Place, partial: str) -> None:
    pathlib.Path(partial, "database/dump.json").write_text("{}")
    pathlib.Path(partial, "files/n1").symlink_to("nowhere")
