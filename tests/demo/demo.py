# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job on an instance made for it, in build/demo: hot backup, damage, restore, proof.

Nothing runs before it and nothing is left running after it. It needs no root.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from servers.nuxeo import proof
from servers.nuxeo.instance import Instance, make_instance
from servers.playbook import environment, local_inventory
from servers.postgresql import Server

REPO = Path(__file__).resolve().parents[2]
FOLDER = REPO / "build" / "demo"
PASSWORD = "demo-p'a$$word"


def say(text: str) -> None:
    """A line for the reader."""
    print(f"\033[1m{text}\033[0m" if sys.stdout.isatty() else text, flush=True)


def play(name: str, *words: str) -> float:
    """Run a playbook of the collection on the inventory of the demo; the seconds that it took."""
    command = ["ansible-playbook", "-i", str(FOLDER / "inventory.json"), f"playbooks/{name}", *words]
    say(f"  $ {' '.join(os.path.relpath(word, REPO) if word.startswith('/') else word for word in command)}")
    command[0] = str(Path(sys.executable).with_name("ansible-playbook"))
    variables = environment(FOLDER / "ansible")
    variables["ANSIBLE_DISPLAY_SKIPPED_HOSTS"] = "False"
    del variables["ANSIBLE_CALLBACKS_ENABLED"]
    began = time.monotonic()
    with (FOLDER / f"{name}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=REPO, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for line in t.cast("t.Iterable[str]", process.stdout):
            log.write(line)
            if line.startswith("TASK ["):
                print(f"    {line[6:].split(']')[0].split(' : ')[-1]}", flush=True)
            elif line.startswith(("[ERROR]", "fatal:", '    "msg":')) or line.startswith("demo "):
                print(f"      {line.strip()}", flush=True)
    if process.wait():
        raise SystemExit(f"ansible-playbook ended with {process.returncode}: see {FOLDER / name}.log")
    return time.monotonic() - began


def damage(instance: Instance, server: Server) -> None:
    """What nobody hopes for: tables dropped, every second blob gone, one changed."""
    server.psql("drop table content, dublincore, fulltext, nxp_logs cascade", "nuxeo")
    server.psql("delete from hierarchy where primarytype = 'File'", "nuxeo")
    blobs = sorted(path for path in (instance.store / "data").glob("*/*/*") if path.is_file())
    for blob in blobs[::2]:
        blob.unlink()
    blobs[1].write_bytes(b"damaged")
    say(f"  4 tables dropped, all documents deleted, {len(blobs[::2])} blobs deleted, 1 changed")


def check(instance: Instance, server: Server, cut: str) -> bool:
    """Compare with what the writer noted outside of the database, by psql and md5sum."""
    must, may = proof.expected(instance.ledger, cut)
    there = proof.documents(server, "nuxeo")
    found = proof.check_blobs(server, "nuxeo", instance.store)
    counts = instance.counts()
    facts = {
        f"{len(must)} documents were committed before the backup date {cut}; missing now": len(must - there),
        "documents that should not be there": len(there - may),
        f"{found.rows} rows name {found.blobs} blobs; missing blobs": len(found.missing),
        "blobs with wrong bytes": len(found.wrong),
        f"the server runs and sees {counts['documents']} documents; bad blobs that it sees": counts["bad_blobs"],
    }
    say("Proof")
    for fact, number in facts.items():
        print(f"  {fact}: {number}", flush=True)
    return bool(must) and found.good and not any(facts.values())


def clear() -> None:
    """End what an earlier demo may have left, and remove its folder."""
    if (FOLDER / "nuxeo" / "bin" / "nuxeoctl").exists():
        subprocess.run([FOLDER / "nuxeo" / "bin" / "nuxeoctl", "stop"], capture_output=True, check=False)
    with contextlib.suppress(OSError, ValueError):
        Server(FOLDER / "postgresql").stop()
    shutil.rmtree(FOLDER, ignore_errors=True)


def run(server: Server) -> bool:
    """The whole story."""
    say("1. A Nuxeo instance (a stand-in that writes in Nuxeo's formats) on PostgreSQL, with 300 documents")
    server.create_database("nuxeo", "nuxeo", PASSWORD)
    login: dict[str, str | int] = {
        "host": server.host,
        "port": server.port,
        "name": "nuxeo",
        "user": "nuxeo",
        "password": PASSWORD,
    }
    instance = make_instance(FOLDER / "nuxeo", login, version="10.10")
    variables = {
        "nuxeo_instance": "demo",
        "nuxeo_conf_path": str(instance.conf),
        "nuxeo_home": str(instance.home),
        "nuxeo_service": instance.ctl,
        "nuxeo_backup_root": str(FOLDER / "backups"),
        "backup_database_bin_dir": str(server.bin_dir),
        "restore_database_bin_dir": str(server.bin_dir),
        "restore_database_admin_user": server.user,
        "restore_database_admin_password": server.password,
    }
    (FOLDER / "backups").mkdir()
    local_inventory(FOLDER / "inventory.json", {"demo": variables}, group="nuxeo")
    instance.start()
    try:
        instance.create_documents(300, 20000)
        say("2. Backup, while 50 documents a second are written and some removed")
        instance.write(50)
        spent = play("backup.yml")
        instance.write(0)
        manifest = json.loads(next((FOLDER / "backups/demo/sets").glob("2*/manifest.json")).read_text(encoding="utf-8"))
        say(f"  took {spent:.0f} s; its backup date is {manifest['backup_date']}")
        say("3. Damage")
        damage(instance, server)
        say("4. Restore")
        spent = play("restore.yml", "-e", "restore_overwrite=true")
        say(f"  took {spent:.0f} s")
        return check(instance, server, manifest["backup_date"])
    finally:
        instance.stop()


def main() -> int:
    """0 when all was proven."""
    clear()
    FOLDER.mkdir(parents=True)
    began = time.monotonic()
    with Server(FOLDER / "postgresql", version="18") as server:
        good = run(server)
    say(f"{'Proven' if good else 'NOT PROVEN'}, in {time.monotonic() - began:.0f} s. All of it lies in build/demo.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
