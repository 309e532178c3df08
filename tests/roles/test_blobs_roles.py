# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance with more stores than nuxeo.conf names: each is in the set, and comes back as it was at its time."""

from __future__ import annotations

import hashlib
import typing as t
from pathlib import Path

from servers.deployment import Site


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_records_and_encrypted_blobs_beside_the_store_of_the_configuration(
    site: Site, make_nuxeo: t.Callable[..., t.Any], tmp_path: Path
) -> None:
    instance = make_nuxeo(None).start()
    instance.create_documents(3)
    instance.stop()
    records, secret = tmp_path / "records", tmp_path / "secret"
    (records / "data").mkdir(parents=True)  # of depth 0, and without a config.xml that would say so
    for number in range(4):
        (records / "data" / f"0f1e2d3c-0000-4000-8000-{number:012d}").write_bytes(b"first %d" % number)
    keys = [hashlib.sha256(b"clear %d" % number).hexdigest() for number in range(4)]
    for key in keys:
        (secret / "data" / key[:2]).mkdir(parents=True, exist_ok=True)
        (secret / "data" / key[:2] / key).write_bytes(b"NUXEOCRYPT\x01 of " + key.encode())
    (secret / "config.xml").write_text("<binary-store><digest>SHA-256</digest><depth>1</depth></binary-store>\n")
    stores = [
        {"provider": "records", "path": str(records), "kind": "record", "depth": 0},
        {"provider": "secret", "path": str(secret), "kind": "encrypted"},
    ]
    site.add("acme", instance, backup_blob_stores=stores, restore_blob_stores=stores)
    site.backup()
    told = site.manifest("acme")["blobs"]
    assert {name: (each["kind"], each["depth"], each["keys"]) for name, each in told.items() if name != "default"} == {
        "records": ("record", 0, 4),
        "secret": ("encrypted", 1, 4),
    }
    before = files(records), files(secret)
    (records / "data" / f"0f1e2d3c-0000-4000-8000-{1:012d}").write_bytes(b"second")
    (records / "data" / f"0f1e2d3c-0000-4000-8000-{2:012d}").unlink()
    (secret / "data" / keys[0][:2] / keys[0]).write_bytes(b"NUXEOCRYPT\x01 rot")
    site.restore(None, restore_overwrite=True)
    assert (files(records), files(secret)) == before
