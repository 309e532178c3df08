# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets made by playbooks, with a dump of a real server, and read by the commands of docs/backup-set.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import typing as t
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from servers.playbook import Result, Run
    from servers.postgresql import Server

TIME = "2026-11-23T02:00:{:02d}.512345Z"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
NUXEO = {"version": "2023.15", "database": {"kind": "h2"}}


def play(*tasks: t.Mapping[str, t.Any]) -> str:
    """A playbook of these tasks, on all hosts."""
    return json.dumps([{"name": "Test", "hosts": "all", "gather_facts": False, "tasks": list(tasks)}])


def written(dest: str, content: str) -> dict[str, t.Any]:
    """A task that writes a file."""
    return {"name": "written", "ansible.builtin.copy": {"dest": dest, "content": content, "mode": "0644"}}


class Root:
    """A backup root, and playbooks that write to it."""

    def __init__(self, folder: Path, inventory: Path, start: t.Callable[..., Run]) -> None:
        self.folder = folder
        self.path = folder / "root"
        self.path.mkdir()
        self.inventory = inventory
        self.start_playbook = start
        self._number = 0

    def task(self, module: str, name: str = "", **options: t.Any) -> dict[str, t.Any]:
        """A task of a module of this collection, on this root."""
        named = {"root": str(self.path), "instance": "acme"} if module.startswith("backup_set") else {}
        return {"name": name or module, f"nuxeo.platform.{module}": {**named, **options}, "register": name or module}

    def start(self, *tasks: t.Mapping[str, t.Any], words: t.Sequence[str] = ()) -> Run:
        self._number += 1
        path = self.folder / f"play{self._number}.json"
        path.write_text(play(*tasks), encoding="utf-8")
        return self.start_playbook(path, self.inventory, None, *words)

    def run(self, *tasks: t.Mapping[str, t.Any], words: t.Sequence[str] = ()) -> Result:
        return self.start(*tasks, words=words).wait(120)

    def begin(self) -> dict[str, t.Any]:
        return self.task("backup_set", "begun", state="begun")

    def publish(self, second: int) -> dict[str, t.Any]:
        given = {"backup_date": TIME.format(second), "kind": "hot", "leader": "node1", "nodes": {"node1": True}}
        manifest = {**given, "nuxeo": NUXEO, "uncovered": []}
        return self.task("backup_set", "published", state="published", run_id="{{ begun.run_id }}", manifest=manifest)

    def sets(self) -> list[str]:
        return sorted(os.listdir(self.path / "acme/sets"))


@pytest.fixture
def root(tmp_path: Path, local_inventory: t.Callable[..., Path], start_playbook: t.Callable[..., Run]) -> Root:
    return Root(tmp_path, local_inventory(node1={}), start_playbook)


def wait_for_task(run: Run, name: str) -> dict[str, t.Any]:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for task in run.tasks():
            if task.task == name:
                return task.result
        assert run.process.poll() is None, name
        time.sleep(0.05)
    raise AssertionError(f"{name} did not come")


def test_the_second_of_two_runs_names_the_first_and_a_killed_one_is_in_nobodys_way(root: Root) -> None:
    assert root.run(root.begin(), root.publish(1)).check().of("published")[0].result["id"] == "20261123T020001Z"
    sleep = {"name": "sleep", "ansible.builtin.command": {"argv": ["sleep", "60"]}}
    first = root.start(root.begin(), sleep, root.publish(2))
    run_id = wait_for_task(first, "begun")["run_id"]
    second = root.run(root.begin(), root.publish(3))
    assert second.rc != 0
    assert f"run {run_id} of user" in second.failures[0]
    assert f"(process {first.process.pid}) is on since" in second.failures[0]
    assert root.sets() == [f".partial-{run_id}", "20261123T020001Z"]
    for sign in (root.path / "acme/lease.json", root.path / "acme/sets" / f".partial-{run_id}"):
        os.utime(sign, (1e9, 1e9))  # it has waited for long for another instance of its play
    patient = root.run(root.begin(), root.publish(3))
    assert "Wait for its end, or end that process" in patient.failures[0]
    first.kill()
    third = root.run(root.begin(), root.publish(3)).check()
    assert third.of("begun")[0].result["took_over"]["run_id"] == run_id
    assert "warnings" not in third.of("published")[0].result
    (warning,) = root.run(root.begin(), root.publish(2)).check().of("published")[0].result["warnings"]
    assert ": '20261123T020003Z' has a later date, so that one is the latest" in warning
    assert root.sets() == ["20261123T020001Z", "20261123T020002Z", "20261123T020003Z"]
    for name in root.sets():
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=root.path / "acme/sets" / name, check=True)
    info = root.run(root.task("backup_set_info")).check().of("backup_set_info")[0].result
    assert [item["id"] for item in info["sets"]] == [f"20261123T02000{second}Z" for second in (3, 2, 1)]
    assert info["last_failure"]["run_id"] == run_id and info["lease"] is None


def test_the_list_tells_of_a_run_that_failed_after_the_newest_set(root: Root) -> None:
    """A watch that has started a server, or a run that has found a killed one, has told nobody else."""
    abandon = root.task("backup_set", "abandoned", state="abandoned", run_id="{{ begun.run_id }}", reason="no room")
    variables = {"nuxeo_backup_root": str(root.path), "nuxeo_instance": "acme"}

    def listed() -> str:
        return root.start_playbook("list.yml", root.inventory, variables).wait(60).check().stdout

    assert "FAILED" not in listed()
    root.run(root.begin(), root.publish(1)).check()
    root.run(root.begin(), abandon).check()
    assert re.search(r"LAST RUN FAILED at \S+Z: no room", listed())
    root.run(root.begin(), root.publish(2)).check()
    assert "FAILED" not in listed()


def test_a_set_is_published_apart_from_the_connection(root: Root) -> None:
    """All of it is read back, for minutes in which nothing is said: a connection that is cut meanwhile costs no set."""
    apart = {"async": 600, "poll": 1}
    done = root.run(root.begin(), {**root.publish(1), **apart}).check().of("published")[0].result
    assert (done["id"], done["changed"], bool(done["ansible_job_id"])) == ("20261123T020001Z", True, True)
    failed = root.run(root.begin(), {**root.publish(1), **apart})
    assert failed.rc != 0 and "two cuts in one second" in failed.failures[0]


def test_check_mode_predicts_and_changes_nothing(root: Root) -> None:
    (root.folder / "data").mkdir()
    copy = root.task("file_tree_copy", src=str(root.folder / "data"), dest="{{ begun.partial }}/files/node1/data")
    predicted = root.run(root.begin(), copy, root.publish(1), words=["--check"]).check()
    assert os.listdir(root.path) == []
    real = root.run(root.begin(), copy, root.publish(1)).check()
    for name in ("begun", "file_tree_copy", "published"):
        one, other = predicted.of(name)[0].result, real.of(name)[0].result
        assert one["changed"] and other["changed"]
        assert {key for key in other if key not in ("owner", "group", "mode", "uid", "gid", "state", "size")} <= set(
            one
        )
    assert predicted.of("published")[0].result["id"] == "20261123T020001Z"


def test_a_tree_goes_there_and_back_by_playbook(root: Root) -> None:
    data = root.folder / "data"
    (data / "stream").mkdir(parents=True)
    (data / "stream/a").write_text("records")
    (data / "stream/a").chmod(0o640)
    copy = {"src": str(data), "dest": str(root.folder / "set/files/node1/data")}
    root.run(root.task("file_tree_copy", **copy)).check()
    assert (root.folder / "set/files/node1/tree.jsonl").exists()
    back = {"state": "restored", "src": copy["dest"], "dest": str(root.folder / "back")}
    task = root.task("file_tree_copy", **back)
    assert root.run(task, words=["--check"]).check().changed and not (root.folder / "back").exists()
    assert root.run(task).check().changed
    assert (root.folder / "back/stream/a").stat().st_mode & 0o777 == 0o640
    assert not root.run(task).check().changed
    (root.folder / "back/stream/a").write_text("precious")
    refused = root.run(task)
    assert "there is something else already: stream. Name an empty folder" in refused.failures[0]
    aside = root.run(root.task("file_tree_copy", existing="aside", **back)).check().tasks[0].result["kept_aside"]
    assert re.fullmatch(rf"{root.folder}/back_before_[0-9]{{8}}T[0-9]{{6}}Z", aside)
    assert Path(aside, "stream/a").read_text() == "precious"
    assert (root.folder / "back/stream/a").read_text() == "records"
    (root.folder / "back/more").write_text("more")
    (root.folder / "back/stream/a").write_text("other")
    root.run(root.task("file_tree_copy", existing="merge", **back)).check()
    assert ((root.folder / "back/more").read_text(), (root.folder / "back/stream/a").read_text()) == ("more", "records")


def test_a_link_to_elsewhere_fails_the_copy_unless_it_is_kept_or_excluded(root: Root) -> None:
    data = root.folder / "data"
    data.mkdir()
    (root.folder / "elsewhere").mkdir()
    (data / "stream").symlink_to("../elsewhere")
    copy = {"src": str(data), "dest": str(root.folder / "copy")}
    refused = root.run(root.task("file_tree_copy", **copy))
    assert "1 links lead out of it, to what would be missing: stream. Exclude" in refused.failures[0]
    copy["dest"] = str(root.folder / "copy2")
    kept = root.run(root.task("file_tree_copy", outside_links="keep", **copy)).check()
    assert kept.tasks[0].result["outside_links"] == ["stream"]
    assert "1 links lead out" in kept.stdout + kept.stderr
    copy["dest"] = str(root.folder / "copy3")
    assert root.run(root.task("file_tree_copy", exclude=["stream"], **copy)).check().tasks[0].result["files"] == 0


def test_a_copy_never_makes_a_partial_set_that_is_gone(root: Root) -> None:
    (root.folder / "data").mkdir()
    dest = root.path / "acme/sets/.partial-1234/files/node1/data"
    result = root.run(root.task("file_tree_copy", src=str(root.folder / "data"), dest=str(dest)))
    assert "another run has taken this one's place" in result.failures[0]
    assert os.listdir(root.path) == []


def commands() -> list[str]:
    """The examples of the page, in their order."""
    page = Path(__file__).resolve().parents[3] / "docs" / "backup-set.md"
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("version", ["15", "18"])
def test_a_set_with_a_real_dump_is_read_by_the_commands_of_the_page(
    root: Root, request: pytest.FixtureRequest, make_database: t.Callable[..., t.Any], version: str
) -> None:
    server: Server = request.getfixturevalue(f"postgresql{version}")
    database, empty = make_database(server), make_database(server)
    role = f"SET ROLE {database.user};"
    database.psql(f"{role} CREATE TABLE content (id int, data text); INSERT INTO content VALUES (1, 'abcd')")
    database.psql(f"{role} CREATE TABLE dublincore (id int)")
    (root.folder / "data").mkdir()
    (root.folder / "data/instance.clid").write_text("registration")
    bin_dir = server.bin_dir
    login = ["-h", str(database.host), "-p", str(database.port), "-U", database.user]
    dump = [str(bin_dir / "pg_dump"), *login, "-Fd", "-f", "{{ begun.partial }}/database/dump", database.name]
    tools = {"PGPASSWORD": database.password}
    made = root.run(
        root.begin(),
        root.task(
            "file_tree_copy",
            src=str(root.folder / "data"),
            dest="{{ begun.partial }}/files/node1/data",
            tree_list="{{ begun.partial }}/files/node1/data.jsonl",
        ),
        {"name": "dump", "ansible.builtin.command": {"argv": dump}, "environment": tools},
        written("{{ begun.partial }}/database/dump.json", json.dumps({"tables": 2, "client_version": version})),
        {"name": "keys", "ansible.builtin.file": {"path": f"{root.path}/acme/keys", "state": "directory"}},
        written(f"{root.path}/acme/keys/x.txt", ""),
        written(
            "{{ begun.partial }}/blobs/default.json",
            json.dumps({"pool": "blobs/default", "base": "keys/x.txt", "base_sha256": EMPTY}),
        ),
        root.publish(4),
        root.task("backup_set_verify", bin_dir=str(bin_dir)),
    ).check()
    verified = made.of("backup_set_verify")[0].result
    assert (verified["bad_count"], verified["dump_listed"], verified["key_lists"]) == (0, True, 1)
    folder = made.of("published")[0].result["path"]
    assert os.stat(f"{folder}/database/dump/toc.dat").st_mode & 0o777 == 0o600
    (root.folder / "out").mkdir()
    variables = {
        "SET": folder, "NODE": "node1", "OUT": str(root.folder / "out"), "PATH": f"{bin_dir}:{os.environ['PATH']}",
        "EMPTY_DATABASE": f"host={empty.host} port={empty.port} user={empty.user} dbname={empty.name}",
        "PGPASSWORD": empty.password,
    }  # fmt: skip
    out = []
    for command in commands():
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], env={**os.environ, **variables}, check=False,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0 and not done.stderr, (command, done.stdout, done.stderr)
        out.append(done.stdout)
    assert out[:4] == ["", "", "true\n", "2\n2\n"]
    assert len(out) == 11
    assert (root.folder / "out/instance.clid").read_text() == "registration"
    assert empty.psql("SELECT data FROM content").strip() == "abcd"
    os.truncate(f"{folder}/database/dump/toc.dat", 20)
    bad = root.run(root.task("backup_set_verify", bin_dir=str(bin_dir)))
    assert {item["path"] for item in bad.tasks[0].result["bad"]} == {"database/dump", "database/dump/toc.dat"}
