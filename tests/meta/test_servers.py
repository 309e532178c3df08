# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The test equipment itself: the servers really run, and the proofs can fail."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import typing as t
import zipfile
from pathlib import Path

import pytest

if t.TYPE_CHECKING:
    from conftest import Database, MakeNuxeo, RunPlaybook
    from servers.postgresql import Server

MakeDatabase = t.Callable[..., "Database"]


def test_postgresql_asks_for_the_password(postgresql: Server) -> None:
    """Both versions run, under their own name, and refuse a wrong password."""
    assert postgresql.psql("select current_setting('server_version')").startswith(postgresql.version)
    right, postgresql.password = postgresql.password, "wrong"
    try:
        with pytest.raises(RuntimeError, match="password authentication failed"):
            postgresql.psql("select 1")
    finally:
        postgresql.password = right


def test_standin_writes_in_nuxeos_formats(
    postgresql18: Server, make_database: MakeDatabase, make_nuxeo: MakeNuxeo
) -> None:
    """Rows and blobs fit together while documents are written and removed; the proof sees a lost and a changed blob."""
    from servers.nuxeo import proof

    database = make_database(postgresql18)
    instance = make_nuxeo(database).start()
    instance.create_documents(20)
    instance.write(200)
    time.sleep(1.5)
    instance.write(0)
    must, may = proof.expected(instance.ledger, time.time())
    assert must == may == proof.documents(postgresql18, database.name)
    assert len(must) > 40
    assert proof.check_blobs(postgresql18, database.name, instance.store).good

    keys = sorted(set(database.psql("select data from content").split()))
    first, second = (instance.store / "data" / key[:2] / key[2:4] / key for key in keys[:2])
    first.unlink()
    second.write_bytes(second.read_bytes() + b"x")
    found = proof.check_blobs(postgresql18, database.name, instance.store)
    assert (found.missing, found.wrong, found.good) == (keys[:1], keys[1:2], False)
    assert instance.counts()["bad_blobs"] == 2


def test_standin_is_controlled_as_nuxeo_is(
    postgresql18: Server, make_database: MakeDatabase, make_nuxeo: MakeNuxeo
) -> None:
    """Exit codes of nuxeoctl, and what it refuses to start with."""
    database = make_database(postgresql18)
    instance = make_nuxeo(database)
    assert instance.nuxeoctl("status").returncode == 3
    instance.start()
    assert instance.nuxeoctl("status").returncode == 0
    assert instance.nuxeoctl("start").returncode == 1
    instance.stop()
    assert not instance.running
    database.psql("drop table acls")
    refused = instance.nuxeoctl("start")
    assert refused.returncode == 1
    assert "no table acls" in refused.stderr
    with instance.conf.open("a", encoding="utf-8") as conf:
        conf.write("nuxeo.platform.restore=\\u(unfinished)\n")
    refused = instance.nuxeoctl("start")
    assert refused.returncode == 1
    assert "Malformed" in refused.stderr


@pytest.mark.parametrize("version", ["10.10", "2023.9"])
def test_standin_holds_its_h2_file(version: str, make_nuxeo: MakeNuxeo, h2_jar: t.Callable[[str], Path]) -> None:
    """The H2 file is open while the server runs, and real H2 finds all documents in it afterwards."""
    from servers import h2

    jar = h2_jar("1.4.200" if version == "10.10" else "2.2.224")
    instance = make_nuxeo(version=version).start()
    instance.create_documents(7)
    file = instance.data_dir / "h2" / "nuxeo"
    with pytest.raises(RuntimeError, match="already in use|Locked by another process"):
        h2.shell(jar, file, "select 1")
    instance.stop()
    keys = h2.column(jar, file, "select DATA from CONTENT")
    assert len(keys) == 7
    assert all((instance.store / "data" / key[:2] / key[2:4] / key).is_file() for key in keys)


def test_playbooks_are_recorded(
    tmp_path: Path, run_playbook: RunPlaybook, local_inventory: t.Callable[..., Path]
) -> None:
    """A failed task is seen with its message, and the recap is there."""
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n"
        "    - name: Fine\n      ansible.builtin.command: echo {{ word }}\n"
        "    - name: Bad\n      ansible.builtin.fail:\n        msg: No {{ word }}\n",
        encoding="utf-8",
    )
    result = run_playbook(playbook, local_inventory(one={}, two={"word": "other"}), {"word": "good"})
    assert result.rc == 2
    assert result.failures == ["No good", "No good"]
    assert {task.host: task.result["stdout"] for task in result.of("command")} == {"one": "good", "two": "good"}
    assert result.stats["two"]["failures"] == 1


def test_modules_that_an_earlier_run_has_packed_are_taken(
    tmp_path: Path, run_playbook: RunPlaybook, local_inventory: t.Callable[..., Path]
) -> None:
    """Each is packed once as long as the sources are the same; one that is broken is seen, since it is the one used."""
    from servers.playbook import keep_packed, state_of_modules

    playbook, kept = tmp_path / "play.yml", tmp_path / "kept" / state_of_modules()
    playbook.write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: echo good\n", encoding="utf-8"
    )
    options: dict[str, t.Any] = {"variables": keep_packed(tmp_path / "kept")}
    run_playbook(playbook, local_inventory(one={}), **options).check()
    packed = list(kept.iterdir())
    assert [path.name.split("-")[0] for path in packed] == ["ansible.modules.command"]
    before = packed[0].stat().st_ino, packed[0].stat().st_mtime_ns
    assert (
        run_playbook(playbook, local_inventory(one={}), **options).check().of("command")[0].result["stdout"] == "good"
    )
    assert (packed[0].stat().st_ino, packed[0].stat().st_mtime_ns) == before
    packed[0].write_bytes(b"no module")
    assert run_playbook(playbook, local_inventory(one={}), **options).rc


def test_packed_modules_of_other_sources_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte of one source makes another folder."""
    from servers.playbook import state_of_modules

    states = set()
    for number, text in enumerate(("VALUE = 1\n", "VALUE = 2\n")):
        tree = tmp_path / str(number) / "modules"
        tree.mkdir(parents=True)
        (tree / "one.py").write_text(text, encoding="utf-8")
        monkeypatch.chdir(tmp_path / str(number))
        states.add(state_of_modules(Path("modules")))
        state_of_modules.cache_clear()
    assert len(states) == 2


def test_code_that_is_kept_is_that_of_the_source(tmp_path: Path) -> None:
    """Python compiles what is in a zip file once, and again when it is another; a folder that is lost does no harm."""
    from servers.playbook import keep_code

    folder, archive = tmp_path / "code", tmp_path / "module.zip"
    environment = {**os.environ, **keep_code(folder)}

    def imported(source: str) -> str:
        with zipfile.ZipFile(archive, "w") as stream:
            stream.writestr("sent.py", source)
        script = f"import sys; sys.path.insert(0, {str(archive)!r}); import sent; print(sent.VALUE)"
        command = [sys.executable, "-c", script]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    assert imported("VALUE = 1") == "1"
    kept = [(path.name, path.stat().st_mtime_ns) for path in folder.iterdir()]
    assert len(kept) == 1
    assert imported("VALUE = 1") == "1"
    assert [(path.name, path.stat().st_mtime_ns) for path in folder.iterdir()] == kept
    assert imported("VALUE = 2") == "2"
    assert len(list(folder.iterdir())) == 2
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert imported("VALUE = 2") == "2"
