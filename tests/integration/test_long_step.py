# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A step that takes long, over real ssh, on a host that is restarted, cut off, or loses the step's process."""

from __future__ import annotations

import json
import os
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from conftest import StartPlaybook

pytestmark = [
    pytest.mark.xdist_group("long-step"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make test hosts"),
]
TREE = Path(__file__).resolve().parents[2] / ".cache" / "tree"
LOST = "nuxeo_platform_lost_timeout"
ALIVE = "-o ServerAliveInterval=1 -o ServerAliveCountMax=2 -o ConnectTimeout=3"
Given = t.Dict[str, t.Any]
COPY = {"src": "/srv/data", "dest": "{{ dest }}"}
TOLD = {"phase": "blobs default", "done": 1200, "total": 4000, "unit": "blobs"}
FAR = "h1: blobs default: 1,200 of 4,000 blobs (30%)\n"


class Node:
    """h1, and what happens to it."""

    def __init__(self, lab: t.Any) -> None:
        self.lab = lab
        self.name = f"{lab.name}-h1"

    def podman(self, *words: str) -> str:
        argv = ["podman", *words]
        return subprocess.run(argv, env=self.lab.environment, capture_output=True, text=True, check=True).stdout

    def inside(self, command: str) -> str:
        return self.podman("exec", self.name, "sh", "-c", command)

    def link(self, state: str) -> None:
        subprocess.run(["ip", "-n", self.lab.name, "link", "set", "v1", state], check=True)

    def working(self) -> bool:
        return "slow-reader" in self.inside("ps -eo args")

    def left(self) -> str:
        """What is left on it of a step."""
        return self.inside("find /srv/notes /srv/tmp -mindepth 1")


@pytest.fixture(scope="module")
def lab_of_one(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[t.Any]:
    from servers.hosts import Lab, make_tree

    make_tree(TREE)
    lab = Lab(tmp_path_factory.mktemp("long") / "hosts")
    try:
        lab.up(1, TREE)
        yield lab
    finally:
        lab.down()


@pytest.fixture
def node(lab_of_one: t.Any) -> Node:
    """The host with a folder to copy, and no step left on it."""
    node = Node(lab_of_one)
    node.inside("pkill -9 sleep; rm -rf /srv/* /root/.bashrc; mkdir -p /srv/data /srv/store; echo it > /srv/data/file")
    node.inside("printf '#!/bin/sh\\nsleep 600' > /srv/slow-reader; chmod 755 /srv/slow-reader")
    return node


@pytest.fixture
def start(node: Node, tmp_path: Path, start_playbook: StartPlaybook) -> t.Callable[..., t.Any]:
    """Starts one module of ours on h1, and looks at it each second; ``keys`` of its task, ``settings`` of Ansible."""

    def begin(
        module: str,
        arguments: Given,
        *more: Given,
        keys: Given | None = None,
        settings: dict[str, str] | None = None,
        **variables: t.Any,
    ) -> t.Any:
        task = {f"nuxeo.platform.{module}": arguments, "async": 600, "poll": 0 if more else 1, "name": "step"}
        tasks = [{**task, "register": "job", **(keys or {})}, *more]
        play = tmp_path / "play.json"
        play.write_text(json.dumps([{"hosts": "h1", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
        folders = {"ansible_async_dir": "/srv/notes", "ansible_remote_tmp": "/srv/tmp"}
        options = {"variables": settings} if settings else {}
        given = {"ansible_ssh_extra_args": ALIVE, **folders, **variables}
        return start_playbook(play, node.lab.state / "inventory.yml", given, **options)

    return begin


@pytest.fixture
def slow(start: t.Callable[..., t.Any], node: Node) -> t.Callable[..., t.Any]:
    """Starts a step that does not end by itself, and waits until it is on."""
    from servers.playbook import wait_for

    def begin(**options: t.Any) -> t.Any:
        far: Given = {"src": "/srv/store", "dest": "h9:/pool", "src_layout": "store", "dest_layout": "pool"}
        far.update({"rsh": ["/srv/slow-reader"], "accept_shrink": True, "progress": "/srv/progress.json"})
        run = start("blob_rsync", far, **options)
        wait_for(node.working, 120)
        time.sleep(2)  # its start has been told by then
        return run

    return begin


@pytest.mark.parametrize("pipelining", [False, True])
def test_its_result_is_that_of_a_short_step(start: t.Callable[..., t.Any], node: Node, pipelining: bool) -> None:
    """Nothing is left of it; Ansible's own part on the node takes seconds to see that it has ended."""
    from servers.playbook import wait_for

    run = start("file_tree_copy", COPY, dest="/srv/copy", ansible_pipelining=pipelining).wait(120).check()
    result = run.of("step")[0].result
    assert (result["files"], result["changed"]) == (1, True)
    assert node.inside("cat /srv/copy/file") == "it\n"
    wait_for(lambda: node.left() == "", 60)


def test_a_step_that_was_started_by_another_task(start: t.Callable[..., t.Any], node: Node) -> None:
    wait = {"jid": "{{ job.ansible_job_id }}", "step": "the copy", "poll": "{{ seconds }}"}
    waits = {"nuxeo.platform.long_step": wait, "name": "wait"}
    done = start("file_tree_copy", COPY, waits, dest="/srv/copy", seconds=1).wait(120).check()
    assert done.of("wait")[0].result["files"] == 1
    refused = start("file_tree_copy", COPY, waits, dest="/srv/copy", seconds=0).wait(120)
    assert "Wait for the copy: poll is 0. Give 1 or more seconds." in refused.failures[-1]
    gone = {**waits, "nuxeo.platform.long_step": {**wait, "jid": "j1.2"}}
    lost = start("file_tree_copy", COPY, gone, dest="/srv/copy", seconds=1).wait(120)
    assert "Wait for the copy on h1: its process has ended without a result" in lost.failures[-1]


def test_a_step_whose_process_is_killed_has_failed(slow: t.Callable[..., t.Any], node: Node) -> None:
    """On a host whose shell greets who comes by ssh, too."""
    node.inside("echo 'echo welcome' > /root/.bashrc")
    run = slow()
    node.inside("pkill -9 python3; true")
    result = run.wait(120)
    assert result.rc != 0
    assert "blob_rsync on h1: its process has ended without a result" in result.failures[-1]
    assert node.left() == "", "its module has what it was told in it, which may be a password"


def test_a_step_whose_module_alone_is_killed_has_failed(slow: t.Callable[..., t.Any], node: Node) -> None:
    """As the kernel does where memory is short."""
    run = slow()
    # from its first word on: Ansible's own part on the node may name the module at its end, too
    node.inside("pkill -9 -f '^[^ ]*python[^ ]* [^ ]*/AnsiballZ_blob_rsync.py$'; true")
    result = run.wait(120)
    assert result.rc != 0
    assert "blob_rsync on h1: its module has told no result: it was killed" in result.failures[-1]
    assert "Traceback" not in result.stdout + result.stderr


def test_a_step_is_on_while_its_module_is(slow: t.Callable[..., t.Any], node: Node) -> None:
    """Of Ansible's own part, which would note its result, nothing is left."""
    run = slow()
    node.inside("pkill -9 -f '[/]async_wrapper.py'; true")
    time.sleep(8)
    assert run.process.poll() is None and node.working()
    node.inside("pkill -9 python3; true")
    result = run.wait(120)
    assert "blob_rsync on h1: its process has ended without a result" in result.failures[-1]
    assert node.left() == ""


def test_a_step_that_takes_longer_than_it_may(slow: t.Callable[..., t.Any]) -> None:
    result = slow(keys={"async": 8}).wait(120)
    assert "blob_rsync on h1: it took longer than its async allows, and was killed" in result.failures[-1]
    assert "Timeout exceeded" not in result.stdout + result.stderr


def test_a_step_whose_host_is_restarted_has_failed(slow: t.Callable[..., t.Any], node: Node) -> None:
    """The note that it is on is still there."""
    run = slow()
    node.podman("restart", "-t", "0", node.name)
    assert node.inside("ls /srv/notes").split()
    result = run.wait(120)
    assert result.rc != 0
    assert "the node was booted, or the disk of ~/.ansible_async is full. Run again." in result.failures[-1]
    assert node.left() == ""


def test_how_far_a_step_is_is_shown(slow: t.Callable[..., t.Any], node: Node) -> None:
    """Its host, and what its progress file says."""
    from servers.playbook import wait_for

    run = slow()
    node.inside(f"echo '{json.dumps(TOLD)}' > /srv/progress.json")
    wait_for(lambda: FAR in run.shown, 120)
    run.kill()


def test_how_far_a_step_is_is_not_shown_among_what_a_program_reads(slow: t.Callable[..., t.Any], node: Node) -> None:
    from servers.playbook import wait_for

    run = slow(settings={"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"})
    node.inside(f"echo '{json.dumps(TOLD)}' > /srv/progress.json")
    wait_for(lambda: FAR in run.warned, 120)
    node.inside("pkill -9 python3; true")
    assert json.loads(run.wait(120).stdout)["plays"]


def test_a_host_that_is_out_of_reach_for_too_long_is_given_up(slow: t.Callable[..., t.Any], node: Node) -> None:
    run = slow(**{LOST: 5})
    node.link("down")
    try:
        result = run.wait(120)
    finally:
        node.link("up")
    assert result.rc != 0
    assert "blob_rsync on h1: for 5 s the node could not be reached" in result.failures[-1]


def test_a_host_that_comes_back_soon_has_gone_on(slow: t.Callable[..., t.Any], node: Node) -> None:
    run = slow(**{LOST: 60})
    node.link("down")
    time.sleep(8)
    assert run.process.poll() is None
    node.link("up")
    time.sleep(8)
    assert run.process.poll() is None
    node.inside("pkill sleep; true")
    result = run.wait(120)
    assert result.rc != 0
    assert "Wait for" not in result.failures[-1] and "h9" in result.failures[-1], "what the step itself told"


def test_a_trouble_of_this_host_is_no_end_of_a_step(slow: t.Callable[..., t.Any], node: Node, tmp_path: Path) -> None:
    """The folder in which Ansible writes here what it will send."""
    run = slow(**{LOST: 60})
    (folder,) = tmp_path.glob("run*/home/tmp/ansible-local-*")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(folder)], check=True)
    try:
        time.sleep(6)
        assert run.process.poll() is None
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
    node.inside("pkill -9 python3; true")
    assert "blob_rsync on h1: its process has ended without a result" in run.wait(120).failures[-1]


def test_a_limit_that_is_no_number_is_told_before_the_step(start: t.Callable[..., t.Any], node: Node) -> None:
    result = start("file_tree_copy", COPY, dest="/srv/copy", **{LOST: "an hour"}).wait(120)
    assert result.rc != 0 and f"Check of {LOST}: it is 'an hour'" in result.failures[-1]
    assert node.inside("ls /srv").split() == ["data", "slow-reader", "store"]
