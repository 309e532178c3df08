# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""blob_rsync and blob_verify against rsync, restic, borg, rclone and cp, interleaved, on one file system.

Writes build/bench/blobs.json: ``ratios``, each measurement, and the floor beside each. The modules are run as processes
of their own, start of the interpreter and all checks included. What a ratio means is said in docs/performance.md.

    BENCH_BLOBS_COUNT    blobs of about 8 KiB, default 300,000
    BENCH_BLOBS_TINY     blobs for the measurement of memory, default 2,000,000; 0 leaves it out
    BENCH_BLOBS_ROUNDS   rounds, default 5; the ratios are of the medians
    BENCH_BLOBS_FOLDER   where everything is made, default build/bench/blobs. For root a file system of its own (ext4,
                         40 GiB, in a file beside it) is made and mounted there: nothing that was removed before, and
                         no other process's sync, is paid for
    BENCH_BLOBS_RSH      how another host is reached, e.g. "ssh -p 2222"; default: a test host (root only)
    BENCH_BLOBS_FAR      that host and a folder on it, host:/path

Without an argument all parts are run, in the order of PARTS below. With some names of parts, these are run, and what
they measure is added to what earlier ones have measured.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import shlex
import statistics
import subprocess
import sys
import time
import typing as t
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / "tests"))

COUNT = int(os.environ.get("BENCH_BLOBS_COUNT", "300000"))
TINY = int(os.environ.get("BENCH_BLOBS_TINY", "2000000"))
ROUNDS = int(os.environ.get("BENCH_BLOBS_ROUNDS", "5"))
ROOT = Path(os.environ.get("BENCH_BLOBS_FOLDER", REPO / "build" / "bench" / "blobs"))
SIZE = 8192
IMAGE = ROOT.with_suffix(".img")
KEPT = ROOT.with_suffix(".times.json")
GRACE = 61
"""ext4 passes over inodes that were given back within a minute, one by one: whoever creates files then is slow."""

CACHES = Path("/proc/sys/vm/drop_caches")

RUN = """
import json, runpy, sys
import ansible.module_utils.basic as basic
name, arguments = sys.argv[1], sys.argv[2]
basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": json.loads(arguments)}).encode()
basic._ANSIBLE_PROFILE = "legacy"
sys.argv = [name]
runpy.run_module("ansible_collections.nuxeo.platform.plugins.modules." + name, run_name="__main__")
"""


ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Ran(t.NamedTuple):
    """A process that has ended."""

    seconds: float
    rss: int
    """Bytes, of the largest process of it."""
    output: bytes


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def run(argv: t.Sequence[t.Any], fail: bool = True, env: t.Mapping[str, str] | None = None) -> Ran:
    """Run a process to its end, and measure it."""
    with open(ROOT / "output", "w+b") as out:
        began = time.monotonic()
        child = subprocess.Popen(
            [str(word) for word in argv], stdout=out, stderr=subprocess.STDOUT, env={**ENVIRONMENT, **(env or {})}
        )
        _pid, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        output = out.read()
    if fail and child.returncode:
        raise SystemExit(f"{argv[0]} failed: {output[-2000:].decode()}")
    return Ran(seconds, usage.ru_maxrss * 1024, output)


def module(
    name: str, prefix: t.Sequence[str] = (), fail: bool = True, **options: t.Any
) -> t.Tuple[Ran, t.Dict[str, t.Any]]:
    """Run a module as a process, and read what it says."""
    path = str(REPO / "build" / "collections")
    argv = [*prefix, sys.executable, "-c", RUN, name, json.dumps(options)]
    done = run(argv, fail=fail, env={"PYTHONPATH": path})
    said = [line for line in done.output.splitlines() if line.startswith(b"{")]
    return done, json.loads(said[-1])


def mounted() -> None:
    """ROOT, on a file system of its own where that can be."""
    ROOT.mkdir(parents=True, exist_ok=True)
    if os.geteuid() or os.path.ismount(ROOT):
        return
    if not IMAGE.exists():
        subprocess.run(["fallocate", "-l", "40G", str(IMAGE)], check=True)
        lazy = "lazy_itable_init=0,lazy_journal_init=0"
        subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "9000000", "-E", lazy, str(IMAGE)], check=True)
    argv = ["losetup", "--direct-io=on", "--show", "-f", str(IMAGE)]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["mount", device, str(ROOT)], check=True)
    subprocess.run(["losetup", "-d", device], check=True)  # when it is unmounted


def clean() -> None:
    """All that was made, but for the report."""
    if os.path.ismount(ROOT):
        subprocess.run(["umount", str(ROOT)], check=True)
    remove(ROOT, IMAGE, KEPT)


def remove(*paths: Path) -> None:
    for path in paths:
        subprocess.run(["rm", "-rf", str(path)], check=True)


def make_store(root: Path, count: int, size: int, seed: int) -> None:
    """A store as Nuxeo lays it out: MD5, two levels, so 65,536 folders."""
    chance = random.Random(seed)
    data = root / "data"
    data.mkdir(parents=True)
    for number in range(65536 if COUNT >= 65536 else 0):
        os.makedirs(data / f"{number >> 8:02x}" / f"{number & 255:02x}", exist_ok=True)
    (root / "config.xml").write_text("<binary-store>\n  <digest>MD5</digest>\n  <depth>2</depth>\n</binary-store>\n")
    add(root, count, size, chance)


def add(root: Path, count: int, size: int, chance: random.Random) -> None:
    for dummy in range(count):
        content = chance.randbytes(chance.randint(size // 2, size * 3 // 2) if size > 64 else 12)
        key = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if COUNT < 65536:  # a trial
            os.makedirs(f"{root}/data/{key[:2]}/{key[2:4]}", exist_ok=True)
        target = os.open(f"{root}/data/{key[:2]}/{key[2:4]}/{key}", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(target, content)
        os.close(target)


def discard(*paths: Path) -> None:
    """Remove what is large, and let the file system forget it."""
    remove(*paths)
    os.sync()
    time.sleep(GRACE)


def settle() -> None:
    """Nothing of what was before is paid for by what comes."""
    os.sync()
    time.sleep(0.5)


def cold() -> None:
    """Drop what is cached, where that is allowed."""
    os.sync()
    with contextlib.suppress(OSError):
        CACHES.write_text("3")


class Bench:
    """All measurements."""

    def __init__(self) -> None:
        self.store = ROOT / "binaries"
        self.data = self.store / "data"
        self.times: t.Dict[str, t.List[float]] = {}
        self.other: t.Dict[str, t.Any] = {}
        self.chance = random.Random()
        if KEPT.exists():
            self.times, self.other = json.loads(KEPT.read_text(encoding="utf-8"))
        self.restic = {"RESTIC_PASSWORD": "bench", "RESTIC_REPOSITORY": str(ROOT / "restic")}
        self.borg = {"BORG_BASE_DIR": str(ROOT / "borg-base"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}

    def ours(self, instance: Path, **more: t.Any) -> t.Tuple[Ran, t.Dict[str, t.Any]]:
        options = {
            "src": str(self.store),
            "dest": str(instance / "blobs" / "default"),
            "state": str(instance / "state" / "blobs-default"),
            "full_every": 1000,
        }
        return module("blob_rsync", **{**options, **more})

    def take(self, name: str, seconds: float) -> None:
        self.times.setdefault(name, []).append(seconds)
        say(f"  {name}: {seconds:.3f} s")

    def median(self, name: str) -> float:
        return statistics.median(self.times[name])

    # --- nothing new

    def prepare(self) -> None:
        """The store, and a first copy by each."""
        say(f"{COUNT} blobs of about {SIZE} bytes in 65,536 folders")
        make_store(self.store, COUNT, SIZE, 1)
        copies = ROOT / "noop"
        self.ours(copies / "ours")
        run(["restic", "init", "-q"], env=self.restic)
        run(["borg", "init", "-e", "none", ROOT / "borg"], env=self.borg)
        for job in self.peers().values():
            job()

    def peers(self) -> t.Dict[str, t.Callable[[], Ran]]:
        """A further backup by each."""
        copies = ROOT / "noop"
        name = f"{ROOT / 'borg'}::{{now:%Y-%m-%dT%H:%M:%S.%f}}"
        return {
            "noop_rsync": lambda: run(["rsync", "-a", f"{self.data}/", f"{copies / 'rsync'}/"]),
            "noop_restic": lambda: run(["restic", "backup", "-q", self.data], env=self.restic),
            "noop_borg": lambda: run(["borg", "create", name, self.data], env=self.borg),
            "noop_rclone": lambda: run(["rclone", "copy", self.data, copies / "rclone"]),
        }

    def noop(self) -> None:
        say("nothing new")
        jobs: t.Dict[str, t.Callable[[], Ran]] = {
            "noop": lambda: self.ours(ROOT / "noop" / "ours")[0],
            "noop_find": lambda: run(["find", self.data, "-type", "d", "-printf", "%T@"]),
            **self.peers(),
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

    def verify(self) -> None:
        say("verify")
        pool = ROOT / "noop" / "ours" / "blobs" / "default"
        told = run(["openssl", "speed", "-seconds", "3", "-bytes", str(SIZE), "md5"]).output.decode()
        speed = re.findall(r"^md5\s+([0-9.]+)k", told, re.MULTILINE | re.IGNORECASE)[-1]
        self.other["hash_floor_bytes_per_s"] = float(speed) * 1000
        script = 'tar -cf - -C "$1" . | cat > /dev/null'
        for _round in range(ROUNDS):
            cold()
            self.take("verify_tar", run(["sh", "-c", script, "sh", pool]).seconds)
            cold()
            done, said = module("blob_verify", pool=str(pool))
            self.take("verify", done.seconds)
            size = said["bytes"]
        disk = size / self.median("verify_tar")
        self.other["disk_floor_bytes_per_s"] = disk
        self.other["verify_bytes_per_s"] = size / self.median("verify")
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
        instance = ROOT / "tiny"
        keys = str(instance / "sets" / "x" / "blobs" / "default")
        first, _said = self.ours(instance)
        second, _said = self.ours(instance, set_keys=keys)
        third, _said = self.ours(instance, set_keys=keys, full=True)
        self.other["rss_of"] = {"first": first.rss, "nothing_new": second.rss, "full_pass": third.rss}
        self.other["rss_mb"] = max(first.rss, second.rss, third.rss) / 1e6
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

    def ratios(self) -> t.Dict[str, float]:
        """Of the medians; of the parts that were run."""
        found: t.Dict[str, float] = {}
        for name, above, below in RATIOS:
            if above in self.times and below in self.times:
                found[name] = self.median(above) / self.median(below)
        if "new1000" in self.times:
            found["new1000_extra_s"] = self.median("new1000") - self.median("new_noop")
        if "verify" in self.times:
            found["verify_vs_floor"] = self.other["verify_bytes_per_s"] / self.other["verify_floor"]
        found.update(
            {name: self.other[name] for name in ("touched_bytes", "rss_mb", "result_kb") if name in self.other}
        )
        return {name: round(value, 3) for name, value in found.items()}

    def report(self) -> None:
        """Keep all, and write it."""
        KEPT.write_text(json.dumps([self.times, self.other]), encoding="utf-8")
        said = {
            "ratios": self.ratios(),
            "medians": {name: round(self.median(name), 4) for name in self.times},
            "times": self.times,
            "other": self.other,
            "blobs": COUNT,
            "processors": len(os.sched_getaffinity(0)),
            "kernel": os.uname().release,
        }
        (ROOT.parent / "blobs.json").write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        print(table(self))
        print(json.dumps({"ratios": said["ratios"], **self.other}, indent=2))


RATIOS = [
    ("noop_vs_find", "noop", "noop_find"),
    ("noop_vs_rsync", "noop_rsync", "noop"),
    ("noop_vs_restic", "noop_restic", "noop"),
    ("noop_vs_borg", "noop_borg", "noop"),
    ("noop_vs_rclone", "noop_rclone", "noop"),
    ("full_vs_rsync", "full_rsync", "full"),
    ("full_vs_cp", "full_cp", "full"),
    ("ssh_full_vs_rsync", "ssh_full_rsync", "ssh_full"),
    ("ssh_noop_vs_rsync", "ssh_noop_rsync", "ssh_noop"),
]


@contextlib.contextmanager
def another_host() -> t.Iterator[t.Tuple[t.List[str], str, str]]:
    """The host that the environment names, or a test host."""
    if os.environ.get("BENCH_BLOBS_FAR"):
        host, dummy, folder = os.environ["BENCH_BLOBS_FAR"].partition(":")
        yield shlex.split(os.environ.get("BENCH_BLOBS_RSH", "ssh")), host, folder
        return
    from servers.hosts import NETWORK, Lab, make_tree

    tree = REPO / ".cache" / "tree"
    make_tree(tree)
    lab = Lab(ROOT / "lab")
    lab.down()
    lab.up(1, tree)
    try:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"]
        options.append(f"ProxyCommand=ip netns exec {lab.name} nc %h %p")
        rsh = ["ssh", "-i", str(lab.state / "key"), "-l", "root", *(word for each in options for word in ("-o", each))]
        yield rsh, f"{NETWORK}.11", "/shared/bench"
    finally:
        lab.down()


FLOORS = {
    "noop": "noop_find",
    "noop_rsync": "noop_find",
    "noop_restic": "noop_find",
    "noop_borg": "noop_find",
    "noop_rclone": "noop_find",
    "full": "full_tar",
    "full_rsync": "full_tar",
    "full_cp": "full_tar",
    "verify": "verify_tar",
}


def table(bench: Bench) -> str:
    """Each median beside its floor."""
    lines = ["| what | median s | spread s | floor s |", "| --- | --- | --- | --- |"]
    for name, times in bench.times.items():
        floor = f"{bench.median(FLOORS[name]):.3f} ({FLOORS[name]})" if name in FLOORS else ""
        lines.append(f"| {name} | {bench.median(name):.3f} | {min(times):.3f} to {max(times):.3f} | {floor} |")
    return "\n".join(lines)


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
    if "prepare" in chosen:
        clean()
    mounted()
    for name in chosen:
        bench = Bench()
        PARTS[name](bench)
        bench.report()
    if not sys.argv[1:]:
        clean()


if __name__ == "__main__":
    main()
