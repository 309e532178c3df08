# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool on another host, over real ssh: h2 of two hosts that each have a network, a root and an sshd of their own.

What is over there is looked at with md5sum, by ssh. h2 has no rsync: none is needed.
"""

from __future__ import annotations

import json
import os
import subprocess
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from conftest import RunPlaybook

pytestmark = [
    pytest.mark.xdist_group("blobs-ssh"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make test hosts"),
]
TREE = Path(__file__).resolve().parents[3] / ".cache" / "tree"


class Far:
    """h2, as h1 or this process reaches it."""

    def __init__(self, hosts: t.Any) -> None:
        from servers.hosts import NETWORK

        self.hosts = hosts
        self.host = f"{NETWORK}.12"
        self.known = hosts.state / "known"
        proxy = f"ProxyCommand=ip netns exec {hosts.name} nc %h %p"
        options = [proxy, "BatchMode=yes", f"UserKnownHostsFile={self.known}", "StrictHostKeyChecking=yes"]
        options += [
            "ConnectTimeout=30",
            "ServerAliveInterval=1",
            "ServerAliveCountMax=2",
            f"IdentityFile={hosts.state / 'key'}",
        ]
        self.rsh = ["ssh", "-F", "none", "-l", "root", *(word for each in options for word in ("-o", each))]

    def inside(self, *words: str, number: int = 2, check: bool = True) -> str:
        """Run something on a host, not by ssh."""
        argv = ["podman", "exec", f"{self.hosts.name}-h{number}", *words]
        done = subprocess.run(argv, env=self.hosts.environment, capture_output=True, text=True, check=check, timeout=60)
        return done.stdout

    def ssh(self, command: str) -> str:
        argv = [*self.rsh, self.host, command]
        return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout

    def sums(self, pool: str) -> dict[str, str]:
        """The MD5 of each blob of a pool by its name; md5sum's work, there."""
        found = self.ssh(f"cd {pool} && find . -name '.?*' -prune -o -type f -print0 | xargs -0r md5sum")
        return {line.split("/")[-1]: line.split()[0] for line in found.splitlines()}

    def mount(self, *words: str) -> None:
        """Mount something on h2, which may not do that itself."""
        argv = ["podman", "inspect", "--format", "{{.State.Pid}}", f"{self.hosts.name}-h2"]
        pid = subprocess.run(argv, env=self.hosts.environment, capture_output=True, text=True, check=True).stdout
        subprocess.run(["nsenter", "-t", pid.strip(), "-m", "mount", *words], check=True)


@pytest.fixture(scope="module")
def far_host(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Far]:
    from servers.hosts import Lab, make_tree

    make_tree(TREE)
    hosts = Lab(tmp_path_factory.mktemp("ssh") / "hosts")
    try:
        hosts.up(2, TREE)
        far = Far(hosts)
        key = far.inside("cat", "/etc/ssh/ssh_host_ed25519_key.pub")
        far.known.write_text(f"{far.host} {key}", encoding="utf-8")
        far.inside("mv", "/usr/bin/rsync", "/usr/bin/rsync-is-away")
        yield far
    finally:
        hosts.down()


@pytest.fixture
def to(far_host: Far, tmp_path: Path) -> dict[str, t.Any]:
    """Options of a backup to a pool of this test's own on h2."""
    return {"dest": f"{far_host.host}:/srv/{tmp_path.name}/pool", "rsh": far_host.rsh}


def path_of(to: dict[str, t.Any]) -> str:
    return str(to["dest"]).partition(":")[2]


def same(keys: t.Iterable[str]) -> dict[str, str]:
    """What md5sum says of blobs that are what their name says."""
    return {key: key for key in keys}


def test_a_first_copy_one_with_nothing_new_and_one_with_a_hundred(
    lab: t.Any, far_host: Far, to: dict[str, t.Any], tmp_path: Path
) -> None:
    keys = {*lab.make(500, size=9000), lab.add(lab.random.randbytes(5 << 20)), lab.add(b"")}
    dry = lab.backup(_ansible_check_mode=True, **to)
    assert (dry.rc, dry.result["copied"]) == (0, len(keys)), dry.output
    assert far_host.ssh("ls /srv").split().count(tmp_path.name) == 0, "check mode made a folder"
    done = lab.backup("a", **to)
    assert (done.rc, done.result["copied"], done.result["keys"]) == (0, len(keys), len(keys)), done.output
    assert far_host.sums(path_of(to)) == same(keys)
    assert far_host.ssh(f"find {path_of(to)} -perm /077").strip() == "", "others can read it"
    lab.age()
    lab.backup(**to)
    nothing = lab.backup("b", **to)
    assert (nothing.rc, nothing.result["changed"], nothing.result["folders_listed"]) == (0, False, 0), nothing.output
    new = {lab.add(b"new %d" % number) for number in range(100)}
    more = lab.backup("c", **to)
    assert (more.rc, more.result["copied"]) == (0, 100), more.output
    assert far_host.sums(path_of(to)) == same(keys | new)
    assert sorted(far_host.ssh(f"ls -A {path_of(to)} | grep '^[.]'").split()) == [".generation", ".lock"]


@pytest.mark.parametrize("how", ["session", "network"])
def test_a_connection_that_is_cut_in_the_middle_and_resumed(
    lab: t.Any, far_host: Far, to: dict[str, t.Any], how: str
) -> None:
    first = set(lab.make(300))
    assert lab.backup("a", **to).rc == 0
    keys = first | set(lab.make(9000, size=6000))
    pool = path_of(to)
    argv = lab.argv("blob_rsync", **lab.options(set_keys=lab.prefix("b"), **to))
    # The one who cuts waits on h2 itself, so that it is quick enough.
    wait = f'until [ "$(find {pool} -name ".*.tmp" 2>/dev/null | wc -l)" -ge 100 ]; do sleep 0.01; done; '
    link = ["ip", "-n", far_host.hosts.name, "link", "set", "v2"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as child:
        far_host.inside("sh", "-c", wait + ("pkill -KILL -f '[s]shd: root'" if how == "session" else ""))
        if how == "network":
            subprocess.run([*link, "down"], check=True)
        try:
            said = json.loads(t.cast(t.IO[str], child.stdout).read().splitlines()[-1])
        finally:
            if how == "network":
                subprocess.run([*link, "up"], check=True)
    assert said["failed"] is True
    assert f"Connection to '{far_host.host}': it ended" in said["msg"], said
    assert not Path(lab.prefix("b") + ".json").exists()
    there = far_host.sums(pool)
    assert there == same(there), "a name for bytes that are not whole"
    assert first <= set(there) < keys
    done = lab.backup("b", **to)
    assert (done.rc, done.result["copied"]) == (0, len(keys) - len(there)), done.output
    assert far_host.sums(pool) == same(keys)
    assert lab.backup("c", full=True, **to).result["copied"] == 0


def test_a_restore_from_another_host_brings_what_is_missing_or_wrong(
    lab: t.Any, far_host: Far, to: dict[str, t.Any], tmp_path: Path
) -> None:
    keys = sorted({*lab.make(200, size=9000), lab.add(lab.random.randbytes(5 << 20))})
    lab.backup("a", **to)
    back = tmp_path / "back"
    source = {"src": to["dest"], "rsh": to["rsh"]}

    def sums() -> dict[str, str]:
        argv = ["find", back / "data", "-type", "f", "-exec", "md5sum", "{}", "+"]
        found = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        return {line.split("/")[-1]: line.split()[0] for line in found.splitlines()}

    done = lab.restore("a", back, **source)
    assert (done.rc, done.result["copied"]) == (0, len(keys)), done.output
    assert sums() == same(keys)
    wrong = back / "data" / keys[0][:2] / keys[0][2:4] / keys[0]
    wrong.write_bytes(b"rot")
    (back / "data" / keys[1][:2] / keys[1][2:4] / keys[1]).unlink()
    done = lab.restore("a", back, **source)
    assert (done.rc, done.result["copied"], done.result["present"]) == (0, 2, len(keys) - 2), done.output
    assert sums() == same(keys)
    far_host.ssh(f"cd {path_of(to)}; echo rot > {keys[2][:2]}/{keys[2][2:4]}/{keys[2]}; rm */*/{keys[3]}")
    other = lab.restore("a", tmp_path / "other", **source)
    assert (other.rc, other.result["problem_count"], other.result["copied"]) == (1, 2, len(keys) - 2), other.output
    assert keys[2] in other.result["msg"] and keys[3] in other.result["msg"]


def test_the_far_side_is_read_again_and_healed(lab: t.Any, far_host: Far, to: dict[str, t.Any]) -> None:
    keys = sorted(set(lab.make(200)))
    lab.backup("a", **to)
    pool = {"pool": to["dest"], "rsh": to["rsh"]}
    assert lab.verify(**pool).result["checked"] == len(keys)
    far_host.ssh(f"cd {path_of(to)}; echo rot > {keys[2][:2]}/{keys[2][2:4]}/{keys[2]}; rm */*/{keys[3]}")
    found = lab.verify(keys=lab.prefix("a"), **pool)
    assert (found.rc, found.result["rotten"], found.result["missing"]) == (1, [keys[2]], [keys[3]]), found.output
    healed = lab.backup("b", **to)
    assert (healed.rc, healed.result["copied"]) == (0, 2), healed.output
    assert far_host.sums(path_of(to)) == same(keys)
    assert lab.verify(keys=lab.prefix("b"), **pool).rc == 0


def test_a_host_with_another_key_gets_nothing(lab: t.Any, far_host: Far, to: dict[str, t.Any], tmp_path: Path) -> None:
    lab.make(5)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    known = tmp_path / "known"
    known.write_text(f"{far_host.host} {(tmp_path / 'other.pub').read_text()}")
    rsh = [word.replace(str(far_host.known), str(known)) for word in to["rsh"]]
    done = lab.backup("a", dest=to["dest"], rsh=rsh)
    assert done.rc == 1, done.output
    assert "Host key verification failed" in done.result["msg"], done.result
    assert not Path(lab.prefix("a") + ".json").exists()
    assert far_host.ssh("ls /srv").split().count(tmp_path.name) == 0


def test_a_host_without_python_is_told(lab: t.Any, far_host: Far, to: dict[str, t.Any]) -> None:
    lab.make(5)
    far_host.inside("mv", "/usr/bin/python3", "/usr/bin/python3-is-away")
    try:
        done = lab.backup("a", **to)
    finally:
        far_host.inside("mv", "/usr/bin/python3-is-away", "/usr/bin/python3")
    assert done.rc == 1, done.output
    assert "python3: command not found" in done.result["msg"], done.result
    assert "with python3 there" in done.result["msg"]


def test_a_far_volume_that_is_full_or_read_only(lab: t.Any, far_host: Far, to: dict[str, t.Any]) -> None:
    keys = set(lab.make(100, size=30_000))
    above = os.path.dirname(path_of(to))
    far_host.inside("mkdir", above)
    far_host.mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", above)
    full = lab.backup("a", **to)
    assert full.rc == 1, full.output
    assert "No space left on device" in full.result["msg"], full.result
    assert "Free space" in full.result["msg"]
    assert not Path(lab.prefix("a") + ".json").exists()
    there = far_host.sums(path_of(to))
    assert there == same(there)
    far_host.mount("-o", "remount,size=64m", above)
    assert lab.backup("a", **to).rc == 0
    assert far_host.sums(path_of(to)) == same(keys)
    lab.add(b"one more")
    far_host.mount("-o", "remount,ro", above)
    refused = lab.backup("b", **to)
    assert refused.rc == 1, refused.output
    assert "Read-only file system" in refused.result["msg"], refused.result


def test_nothing_passes_through_the_controller(
    lab: t.Any, far_host: Far, to: dict[str, t.Any], tmp_path: Path, run_playbook: RunPlaybook
) -> None:
    """h1 sends 40 MB to h2; this process, which runs Ansible, has its own address on the bridge between them."""
    lab.make(0)
    keys = {lab.add(lab.random.randbytes(100_000)) for dummy in range(400)}
    state = far_host.hosts.state
    subprocess.run(["cp", "-a", lab.store, far_host.hosts.shared / "binaries"], check=True)
    near = {"/root/.ssh/id_ed25519": (state / "key").read_text(), "/root/.ssh/known_hosts": far_host.known.read_text()}
    for path, text in near.items():
        far_host.inside("sh", "-c", f"umask 077; printf '%s' '{text}' > {path}", number=1)
    task = {"src": "/shared/binaries", "dest": to["dest"]}
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        json.dumps([{"hosts": "h1", "gather_facts": False, "tasks": [{"nuxeo.platform.blob_rsync": task}]}])
    )

    def seen() -> int:
        argv = ["ip", "-n", far_host.hosts.name, "-s", "-j", "link", "show", "br0"]
        said = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)[0]["stats64"]
        return int(said["rx"]["bytes"]) + int(said["tx"]["bytes"])

    before = seen()
    done = run_playbook(playbook, state / "inventory.yml").check()
    passed = seen() - before
    assert [each.result["copied"] for each in done.of("blob_rsync")] == [400]
    assert far_host.sums(path_of(to)) == same(keys)
    assert passed < 4 << 20, "a tenth of what was copied went through the controller"
