# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""blob_rsync and blob_verify against rsync, restic, borg, rclone and cp, interleaved, on one file system.

Writes build/bench/blobs.json: ``ratios``, each measurement, and the floor beside each. The modules are run as processes
of their own, start of the interpreter and all checks included. What a ratio means is said in docs/performance.md.

    BENCH_BLOBS_COUNT    blobs of about 8 KiB, default 300,000
    BENCH_BLOBS_TINY     blobs for the measurement of memory, default 2,000,000; 0 leaves it out. Half as many
                         records are for the same
    BENCH_BLOBS_ROUNDS   rounds, default 5; the ratios are of the medians
    BENCH_BLOBS_FOLDER   where everything is made, default build/bench/blobs. For root a file system of its own (ext4,
                         32 GiB, in a file beside it) is made and mounted there: nothing that was removed before, and
                         no other process's sync, is paid for
    BENCH_BLOBS_RSH      how another host is reached, e.g. "ssh -p 2222"; default: a test host (root only)
    BENCH_BLOBS_FAR      that host and a folder on it, host:/path

Without an argument all parts are run, in the order of PARTS below. With some names of parts, these are run, and what
they measure is kept beside what other parts have measured; "prepare" begins anew. verify is the last one that needs the
copies of prepare, and tiny removes the store.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import sys
import time
import typing as t
from pathlib import Path

from blobs import peers
from blobs.host import another_host
from blobs.place import COUNT, ROOT, ROUNDS, SIZE, TINY, clean, cold, discard, mounted, remove, say, settle
from blobs.process import Ran, module, run
from blobs.report import Measures
from blobs.store import add, make_records, make_store


class Bench:
    """All measurements."""

    def __init__(self) -> None:
        self.store = ROOT / "binaries"
        self.data = self.store / "data"
        self.measures = Measures()
        self.take = self.measures.take
        self.other = self.measures.other
        self.chance = random.Random()

    def ours(self, instance: Path, **more: t.Any) -> t.Tuple[Ran, t.Dict[str, t.Any]]:
        options = {
            "src": str(self.store),
            "dest": str(instance / "blobs" / "default"),
            "state": str(instance / "state" / "blobs-default"),
            "full_every": 1000,
        }
        return module("blob_rsync", **{**options, **more})

    # --- nothing new

    def prepare(self) -> None:
        """The store, and a first copy by each."""
        say(f"{COUNT} blobs of about {SIZE} bytes in 65,536 folders")
        make_store(self.store, COUNT, SIZE, 1)
        self.ours(ROOT / "noop" / "ours")
        peers.begin()
        for job in peers.backups(self.data).values():
            job()

    def noop(self) -> None:
        say("nothing new")
        jobs: t.Dict[str, t.Callable[[], Ran]] = {
            "noop": lambda: self.ours(ROOT / "noop" / "ours")[0],
            "noop_find": lambda: run(["find", self.data, "-type", "d", "-printf", "%T@"]),
            **peers.backups(self.data),
        }
        time.sleep(2.5)
        for job in jobs.values():
            job()
        settle()
        for _round in range(ROUNDS):
            for name, job in jobs.items():
                self.take(name, job().seconds)
        for _round in range(3):  # as in the night: nothing of the store is in memory
            for name in ("noop", "noop_find", "noop_rsync"):
                cold()
                self.take(f"cold_{name}", jobs[name]().seconds)

    def touched(self) -> None:
        self.ours(ROOT / "noop" / "ours")
        say("every blob touched, as by Nuxeo's garbage collection")
        for folder, _folders, files in os.walk(self.data):
            for name in files:
                os.utime(f"{folder}/{name}")
        log = ROOT / "calls"
        prefix = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=open,openat"]
        said = self.ours(ROOT / "noop" / "ours", prefix=prefix)[1]
        read = 0
        with open(log, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                found = re.search(r'"([^"]*/([0-9a-f]{32}))"', line)
                if found and "ENOENT" not in line:
                    read += os.path.getsize(found.group(1))
        self.other["touched_bytes"] = read + said["bytes_copied"]
        dry = run(["rsync", "-a", "-n", "--stats", f"{self.data}/", f"{ROOT / 'noop' / 'rsync'}/"])
        self.other["touched_rsync"] = dry.output.decode().strip().splitlines()[-2:]

    def new(self) -> None:
        say("1,000 new blobs")
        for _round in range(ROUNDS):
            settle()
            self.take("new_noop", self.ours(ROOT / "noop" / "ours")[0].seconds)
            add(self.store, 1000, SIZE, self.chance)
            settle()
            done, said = self.ours(ROOT / "noop" / "ours")
            if said["copied"] != 1000:
                raise SystemExit(f"1,000 blobs are new, {said['copied']} were copied")
            self.take("new1000", done.seconds)
            time.sleep(2.5)
            self.ours(ROOT / "noop" / "ours")

    # --- everything

    def full(self) -> None:
        say("everything")
        jobs: t.Dict[str, t.Callable[[Path], Ran]] = {
            "full": lambda path: self.ours(path)[0],
            "full_rsync": lambda path: run(["rsync", "-aW", f"{self.store}/", f"{path}/"]),
            "full_cp": lambda path: run(["cp", "-a", self.store, path]),
            "full_tar": lambda path: run(["tar", "-cf", path, "-C", self.store, "data"]),
        }
        order = list(jobs)
        self._read(self.data)  # what ran before may have left it out of memory, and the first would pay for that
        for number in range(ROUNDS):
            targets = {name: ROOT / f"{name}-{number}" for name in order}
            for name in order:
                settle()
                self.take(name, jobs[name](targets[name]).seconds)
                began = time.monotonic()
                os.sync()
                self.take(f"{name}_sync_after", time.monotonic() - began)
            order.append(order.pop(0))
            discard(*targets.values())

    @staticmethod
    def _read(folder: Path) -> Ran:
        """Read all that is in a folder."""
        return run(["sh", "-c", 'tar -cf - -C "$1" . | cat > /dev/null', "sh", folder])

    def verify(self) -> None:
        say("verify")
        pool = ROOT / "noop" / "ours" / "blobs" / "default"
        told = run(["openssl", "speed", "-seconds", "3", "-bytes", str(SIZE), "md5"]).output.decode()
        speed = re.findall(r"^md5\s+([0-9.]+)k", told, re.MULTILINE | re.IGNORECASE)[-1]
        self.other["hash_floor_bytes_per_s"] = float(speed) * 1000
        for _round in range(ROUNDS):
            cold()
            self.take("verify_tar", self._read(pool).seconds)
            cold()
            done, said = module("blob_verify", pool=str(pool))
            self.take("verify", done.seconds)
            size = said["bytes"]
        disk = size / self.measures.median("verify_tar")
        self.other["disk_floor_bytes_per_s"] = disk
        self.other["verify_bytes_per_s"] = size / self.measures.median("verify")
        self.other["verify_floor"] = min(disk, self.other["hash_floor_bytes_per_s"])
        discard(ROOT / "noop", ROOT / "borg-base", ROOT / "restic", ROOT / "borg")

    # --- another host

    def ssh(self) -> None:
        with another_host() as (rsh, host, folder):
            self._ssh(rsh, host, folder)

    def _ssh(self, rsh: t.List[str], host: str, folder: str) -> None:
        say(f"over ssh to {host}")
        near = ROOT / "near"
        shell = shlex.join(rsh)

        def far_remove(path: str) -> None:
            run([*rsh, host, f"rm -rf {shlex.quote(path)}; sync"])

        def ours(number: t.Any) -> Ran:
            return self.ours(near, dest=f"{host}:{folder}/ours-{number}", rsh=rsh)[0]

        def theirs(number: t.Any) -> Ran:
            return run(["rsync", "-aW", "-e", shell, f"{self.data}/", f"{host}:{folder}/rsync-{number}/"])

        run([*rsh, host, f"mkdir -p {shlex.quote(folder)}"])
        for number in range(ROUNDS):
            for name, job in (("ssh_full", ours), ("ssh_full_rsync", theirs)):
                remove(near)
                settle()
                self.take(name, job(number).seconds)
                if number < ROUNDS - 1:
                    far_remove(f"{folder}/{'ours' if job is ours else 'rsync'}-{number}")
        remove(near)
        last = ROUNDS - 1
        ours(last)
        time.sleep(2.5)
        ours(last)
        for _round in range(ROUNDS):
            self.take("ssh_noop", ours(last).seconds)
            self.take("ssh_noop_rsync", theirs(last).seconds)
        far_remove(folder)

    # --- memory and size of the answer

    def tiny(self) -> None:
        if not TINY:
            return
        say(f"{TINY} tiny blobs")
        remove(self.store)
        make_store(self.store, TINY, 12, 7)
        self._memory("rss", kind="digest")
        remove(self.store)
        say(f"{TINY // 2} records")
        make_records(self.store, TINY // 2)
        self._memory("records_rss", kind="record")

    def _memory(self, name: str, **options: str) -> None:
        """That of the largest process: of a first copy, with nothing new, of a full pass, each with a set's list."""
        instance = ROOT / "tiny"
        sets = instance / "sets"
        runs = {"first": False, "nothing_new": False, "full_pass": True}
        of = {
            run: self.ours(instance, set_keys=str(sets / run / "blobs" / "default"), full=full, **options)[0].rss
            for run, full in runs.items()
        }
        self.other[f"{name}_of"] = of
        self.other[f"{name}_mb"] = max(of.values()) / 1e6
        remove(instance)

    def answer(self) -> None:
        """How much a run says at the worst: thousands of blobs are rotten."""
        store = ROOT / "rotten"
        make_store(store, 5000, 12, 8)
        for path in store.rglob("*"):
            if len(path.name) == 32:
                path.write_bytes(b"rot")
        options = {"src": str(store), "dest": str(ROOT / "rotten-pool")}
        done, said = module("blob_rsync", fail=False, **options)
        if said["problem_count"] < 4900:
            raise SystemExit(f"rot was not found: {said}")
        self.other["result_kb"] = len(done.output) / 1000
        remove(store, ROOT / "rotten-pool")


PARTS: t.Dict[str, t.Callable[[Bench], None]] = {
    "prepare": Bench.prepare,
    "noop": Bench.noop,
    "touched": Bench.touched,
    "new": Bench.new,
    "verify": Bench.verify,
    "full": Bench.full,
    "ssh": Bench.ssh,
    "answer": Bench.answer,
    "tiny": Bench.tiny,
}


def main() -> None:
    chosen = sys.argv[1:] or list(PARTS)
    if set(chosen) - set(PARTS):
        raise SystemExit(f"The parts are {' '.join(PARTS)}")
    peers.look()
    if "prepare" in chosen:
        clean()
    mounted()
    for name in chosen:
        bench = Bench()
        PARTS[name](bench)
        bench.measures.report()
    if not sys.argv[1:]:
        clean()


if __name__ == "__main__":
    main()
