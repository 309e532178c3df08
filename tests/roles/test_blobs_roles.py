# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blob stores that nuxeo.conf does not name, and a pool on another host: all is saved, and comes back as it was."""

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
    (records / "data").mkdir(parents=True)
    (records / "config.xml").write_text(
        "<binary-store><digest>MD5</digest><depth>2</depth></binary-store>\n"
    )  # Nuxeo's
    for number in range(4):
        (records / "data" / f"0f1e2d3c-0000-4000-8000-{number:012d}").write_bytes(b"first %d" % number)
    keys = [hashlib.sha256(b"clear %d" % number).hexdigest() for number in range(4)]
    for key in keys:
        (secret / "data" / key[:2]).mkdir(parents=True, exist_ok=True)
        (secret / "data" / key[:2] / key).write_bytes(b"NUXEOCRYPT\x01 of " + key.encode())
    (secret / "config.xml").write_text("<binary-store><digest>SHA-256</digest><depth>1</depth></binary-store>\n")
    stores = [
        {"provider": "records", "path": str(records), "kind": "record"},
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
    aside = {name: content for name, content in files(records).items() if name.startswith(".nuxeo-platform-before-")}
    now = {name: content for name, content in files(records).items() if name not in aside}
    assert (now, files(secret)) == before
    assert sorted(aside.values()) == [b"first 0", b"first 3", b"second"], "what it held is nowhere else"


def test_a_pool_on_another_host(site: Site, make_nuxeo: t.Callable[..., t.Any], tmp_path: Path) -> None:
    """The other host is this one, reached by what takes the words of ssh; tests of blob_rsync do it by ssh itself."""
    instance = make_nuxeo(None).start()
    instance.create_documents(8)
    there, down = tmp_path / "there", tmp_path / "down"
    shell = tmp_path / "rsh"
    cut = f'[ ! -e {down} ] || {{ echo "no route" >&2; exit 255; }}'
    shell.write_text(f'#!/bin/sh\n{cut}\n[ "$1" = far ] || exit 9\nexec sh -c "$2"\n')
    shell.chmod(0o755)
    rsh = {"backup_pool_rsh": [str(shell)], "restore_pool_rsh": [str(shell)]}
    site.add("acme", instance, backup_pool_root=f"far:{there}", **rsh)
    wrong = site.run("backup", backup_pool_root=str(there))
    assert wrong.rc != 0
    assert f"Check of backup_pool_root '{there}': it names no host" in wrong.stdout
    site.backup()
    assert site.manifest("acme")["blobs"]["default"]["pool"] == f"far:{there}/acme/blobs/default"
    assert not (site.root / "acme" / "blobs").exists(), "no blob is in the backup root"
    pool = {name.rpartition("/")[2] for name in files(there) if "/." not in f"/{name}"}
    blobs = {name.rpartition("/")[2]: content for name, content in files(instance.store / "data").items()}
    assert pool == set(blobs)
    site.run("verify").check()
    down.touch()
    for playbook, variables in (("verify", {}), ("restore", {"restore_overwrite": True}), ("backup", {})):
        refused = site.run(playbook, **variables)
        assert refused.rc != 0
        assert "Connection to 'far'" in refused.stdout, refused.stdout
        assert len(site.sets("acme")) == 1
    assert instance.running, "what cannot be read is known before the first change"
    down.unlink()
    victim = next(iter(blobs))
    here, saved = (next(folder.rglob(victim)) for folder in (instance.store / "data", there))
    here.unlink()
    saved.rename(tmp_path / victim)
    refused = site.run("restore", restore_overwrite=True)
    assert refused.rc != 0
    assert f"1 are neither there nor in pool 'far:{there}/acme/blobs/default': {victim}" in refused.stdout
    assert instance.running, "a blob that is lost is known before the first change, too"
    (tmp_path / victim).rename(saved)
    here.write_bytes(b"rot")
    site.restore(None, restore_overwrite=True)
    back = {name.rpartition("/")[2]: content for name, content in files(instance.store / "data").items()}
    assert back == blobs
