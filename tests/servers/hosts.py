# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real test hosts on one machine: each its own network, root file system, systemd as process 1, and sshd. Root only.

All hosts share one base tree, made once from Debian's packages; a host is an overlay on it, so they come and go in
seconds. They are in a network of their own that leads nowhere; ssh gets in through ``ip netns exec``. The folder
/shared is the same on all of them. So is one where Python keeps what it compiles of Ansible's modules.

    python3 tests/servers/hosts.py tree TREE
    python3 tests/servers/hosts.py up STATE --tree TREE --count 3      # writes STATE/inventory.yml
    python3 tests/servers/hosts.py down STATE
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

PACKAGES = (
    "systemd,systemd-sysv,dbus,openssh-server,python3,python3-apt,python3-psycopg2,sudo,iproute2,procps,ca-certificates,"
    "kmod,rsync,curl,postgresql,openjdk-17-jre-headless"
)
MASKED = (
    "systemd-resolved systemd-networkd-wait-online systemd-udevd systemd-udev-trigger systemd-timesyncd "
    "systemd-firstboot console-getty getty@tty1 serial-getty@ttyS0 systemd-remount-fs apt-daily.timer "
    "apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer networking"
)
KEEPER = Path(__file__).parent / "module_code"
"""Its sitecustomize.py keeps compiled code."""
# What it looks for; only what comes by ssh gets it.
SSHD_KEEPER = "SetEnv PYTHONPATH=/opt/module-code NUXEO_TEST_MODULE_CODE=/var/cache/module-code\n"

NETWORK = "10.77.0"
"""Only ever inside of the hosts' own network."""

# runc, since crun refuses a machine that has both kinds of cgroups; limits that no machine refuses.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=10000:10000"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
"""


def run(*words: str | Path, check: bool = True, **more: t.Any) -> subprocess.CompletedProcess[str]:
    """Run a command; what it printed becomes part of the error when it fails."""
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done


def make_tree(tree: Path, suite: str = "bookworm") -> None:
    """Make the base tree, when it is not there or was made of other packages. One at a time, whoever asks."""
    tree.parent.mkdir(parents=True, exist_ok=True)
    with (tree.parent / f"{tree.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _make_tree(tree, suite)


def _make_tree(tree: Path, suite: str) -> None:
    mark = tree.parent / f"{tree.name}.made-of"
    made_of = f"{suite} {PACKAGES} {MASKED}"
    if tree.is_dir() and mark.exists() and mark.read_text(encoding="utf-8") == made_of:
        return
    shutil.rmtree(tree, ignore_errors=True)
    tree.parent.mkdir(parents=True, exist_ok=True)
    sources = Path("/etc/apt/sources.list.d/debian.sources")
    if not sources.exists():
        sources = Path("/etc/apt/sources.list")
    hooks = [
        'mkdir -p "$1/usr/share/man/man1"; cd "$1/usr/sbin"; echo "exit 101" > policy-rc.d; chmod 755 policy-rc.d',
        f'chroot "$1" systemctl mask {MASKED} 2>/dev/null || true; chroot "$1" systemctl disable postgresql || true',
        'mkdir -p "$1/root/.ssh" "$1/shared"; chmod 700 "$1/root/.ssh"',
        'printf "PermitRootLogin prohibit-password\\nUseDNS no\\nUsePAM no\\n" > "$1/etc/ssh/sshd_config.d/test.conf"',
        'rm -f "$1/usr/sbin/policy-rc.d"; : > "$1/etc/machine-id"',
    ]
    with tempfile.TemporaryDirectory(dir=tree.parent) as tmp:
        run(
            *("unshare", "--mount"),  # what it mounts is gone with it, even when it is killed
            "mmdebstrap",
            "--variant=minbase",
            "--mode=root",
            '--aptopt=Acquire::Check-Valid-Until "false"',
            '--aptopt=APT::Install-Recommends "false"',
            f"--include={PACKAGES}",
            f"--essential-hook={hooks[0]}",
            *(f"--customize-hook={hook}" for hook in hooks[1:]),
            suite,
            tree,
            sources,
            env={**os.environ, "TMPDIR": tmp},
            timeout=1200,
        )
    mark.write_text(made_of, encoding="utf-8")


class Lab:
    """A number of hosts h1, h2, ...; its state folder holds all there is of them."""

    def __init__(self, state: Path) -> None:
        self.state = state.absolute()
        self.name = "nxp" + hashlib.sha256(str(self.state).encode()).hexdigest()[:6]
        self.environment = {**os.environ, "CONTAINERS_CONF": str(self.state / "containers.conf")}
        self.shared = self.state / "shared"
        self.code = self.state / "code"

    def _host(self, number: int) -> str:
        return f"{self.name}-h{number}"

    def up(self, count: int, tree: Path) -> None:
        """Start the hosts, wait until each is up, and write the inventory."""
        self.state.mkdir(parents=True)
        self.shared.mkdir()
        self.code.mkdir()
        (self.state / "containers.conf").write_text(CONTAINERS_CONF, encoding="utf-8")
        (self.state / "lab.json").write_text(json.dumps({"count": count}), encoding="utf-8")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.state / "key")
        self._network(count)
        for number in range(1, count + 1):
            self._start(number, count, tree.absolute())
        for number in range(1, count + 1):
            self._wait(number)
        self._write_inventory(count)

    def _network(self, count: int) -> None:
        run("ip", "netns", "add", self.name)
        inside = ("ip", "-n", self.name)
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "link", "add", "br0", "type", "bridge")
        run(*inside, "addr", "add", f"{NETWORK}.1/24", "dev", "br0")
        run(*inside, "link", "set", "br0", "up")
        for number in range(1, count + 1):
            host = self._host(number)
            run("ip", "netns", "add", host)
            run(*inside, "link", "add", f"v{number}", "type", "veth", "peer", "name", "eth0", "netns", host)
            run(*inside, "link", "set", f"v{number}", "master", "br0", "up")
            run("ip", "-n", host, "addr", "add", f"{NETWORK}.{10 + number}/24", "dev", "eth0")
            run("ip", "-n", host, "link", "set", "lo", "up")
            run("ip", "-n", host, "link", "set", "eth0", "up")

    def _start(self, number: int, count: int, tree: Path) -> None:
        host = self._host(number)
        folder = self.state / host
        for name in ("up", "work", "root"):
            (folder / name).mkdir(parents=True)
        root = folder / "root"
        layers = f"lowerdir={tree},upperdir={folder / 'up'},workdir={folder / 'work'}"
        run("mount", "-t", "overlay", host, "-o", layers, root)
        shutil.copy(self.state / "key.pub", root / "root/.ssh/authorized_keys")
        (root / "etc/hostname").write_text(f"h{number}\n", encoding="utf-8")
        (root / "etc/ssh/sshd_config.d/code.conf").write_text(SSHD_KEEPER, encoding="utf-8")
        names = [f"{NETWORK}.{10 + other} h{other}" for other in range(1, count + 1)]
        (root / "etc/hosts").write_text("\n".join(["127.0.0.1 localhost", *names]) + "\n", encoding="utf-8")
        words = ["--name", host, "--hostname", f"h{number}", "--network", f"ns:/run/netns/{host}", "--no-hosts"]
        volumes = [
            f"{self.shared}:/shared",
            f"{self.code}:/var/cache/module-code",
            f"{KEEPER}:/opt/module-code:ro",
        ]
        words += [word for volume in volumes for word in ("-v", volume)]
        words += ["--systemd=always", "--cap-add=SYS_PTRACE", "--rootfs", str(root), "/sbin/init"]
        run("podman", "run", "-d", *words, env=self.environment, timeout=120)

    def _wait(self, number: int, timeout: float = 90) -> None:
        host = self._host(number)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            done = run("podman", "exec", host, "systemctl", "is-system-running", check=False, env=self.environment)
            if done.stdout.strip() in {"running", "degraded"}:
                return
            time.sleep(0.2)
        raise TimeoutError(f"host h{number} is not up: {done.stdout}{done.stderr}")

    def _write_inventory(self, count: int) -> None:
        proxy = f'ProxyCommand="ip netns exec {self.name} nc %h %p"'
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        # The path of a control socket must be short, so it is not in the state folder.
        options += ["ControlMaster=auto", "ControlPersist=30s", f"ControlPath=/tmp/{self.name}-%h"]
        variables = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.state / "key"),
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_common_args": " ".join([*(f"-o {option}" for option in options), f"-o {proxy}"]),
        }
        hosts = {f"h{number}": {"ansible_host": f"{NETWORK}.{10 + number}"} for number in range(1, count + 1)}
        text = json.dumps({"all": {"vars": variables, "hosts": hosts}}, indent=2)
        (self.state / "inventory.yml").write_text(text + "\n", encoding="utf-8")

    def down(self) -> None:
        """End the hosts and remove every trace of them."""
        if not (self.state / "lab.json").exists():
            return
        count = int(json.loads((self.state / "lab.json").read_text(encoding="utf-8"))["count"])
        for number in range(1, count + 1):
            host = self._host(number)
            run("podman", "rm", "-f", "-t", "3", host, check=False, env=self.environment)
            run("umount", self.state / host / "root", check=False)
            run("ip", "netns", "del", host, check=False)
        run("ip", "netns", "del", self.name, check=False)
        shutil.rmtree(self.state)


def main(argv: t.Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Real test hosts on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    tree = commands.add_parser("tree", help="make the base tree")
    tree.add_argument("tree", type=Path)
    up = commands.add_parser("up", help="start hosts")
    up.add_argument("--tree", type=Path, required=True)
    up.add_argument("--count", type=int, default=3)
    down = commands.add_parser("down", help="end them")
    for command in (up, down):
        command.add_argument("state", type=Path)
    args = parser.parse_args(argv)
    if args.command == "tree":
        make_tree(args.tree)
        return 0
    lab = Lab(args.state)
    lab.down()
    if args.command == "up":
        try:
            lab.up(args.count, args.tree)
        except Exception:
            lab.down()
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
