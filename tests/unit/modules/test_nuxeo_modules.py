# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules nuxeo_conf_facts, nuxeo_conf, nuxeo_conf_copy and nuxeo_service as Ansible runs them."""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import importlib
import io
import json
import multiprocessing
import os
import signal
import subprocess
import time
import typing as t
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import copy, kept
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.process import Running
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.write import alone

if t.TYPE_CHECKING:
    from servers.nuxeo.instance import Instance

MODULES = "ansible_collections.nuxeo.platform.plugins.modules"
Call = t.Callable[..., t.Dict[str, t.Any]]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """Runs a module; its result, with ``output``: all that it has written."""

    def run(name: str, /, check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        module = importlib.import_module(f"{MODULES}.{name}")
        environment = dict(os.environ)
        capfd.readouterr()
        try:
            given = {**options, "_ansible_check_mode": check, "_ansible_diff": True}
            with patch_module_args(given), pytest.raises(SystemExit):
                module.main()
        finally:
            os.environ.clear()
            os.environ.update(environment)
        out, err = capfd.readouterr()
        return {**json.loads(out.strip().splitlines()[-1]), "output": out + err}

    return run


def tree(folder: Path) -> dict[str, str]:
    """A digest of all files below a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() + oct(path.stat().st_mode) for path in files}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    files = {
        "bin/nuxeo.conf": "# mine\nnuxeo.db.password=canary1\nnuxeo.templates=default,own\na=${env:A:none}\n",
        "templates/nuxeo.defaults": "nuxeo.data.dir=nxserver/data\nnuxeo.mongodb.server=\n",
        "templates/default/nuxeo.defaults": "nuxeo.db.jdbc.url=jdbc:postgresql://h:1/n\nnuxeo.db.user=u\n",
        "templates/own/nuxeo.defaults": "kafka.truststore.path=keys/store.jks\nkafka.truststore.password=canary2\n",
        "templates/own/config/own.xml": "<own/>\n",
        "templates/other/nuxeo.defaults": "b=1\n",
        "templates/common/config/distribution.properties": "org.nuxeo.distribution.version=2023.31\n",
        "keys/store.jks": "a key\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_facts(call: Call, home: Path) -> None:
    before = tree(home)
    environment = {"A": True, "X_PASSWORD": "canary3"}
    options = {"path": str(home / "bin/nuxeo.conf"), "home": str(home), "environment": environment}
    found = call("nuxeo_conf_facts", **options, properties=["a", "*password*"])
    assert set(found) == {"ansible_facts", "changed", "invocation", "output"}
    assert set(found["ansible_facts"]) == {"nuxeo"}
    assert not found["changed"]
    assert found["ansible_facts"]["nuxeo"]["properties"] == {"a": "true"}
    assert found["ansible_facts"]["nuxeo"]["version"] == "2023.31"
    assert "canary" not in found["output"]
    assert call("nuxeo_conf_facts", check=True, **options)["ansible_facts"]["nuxeo"]["database"]["host"] == "h"
    assert tree(home) == before


def test_facts_of_a_file_that_nuxeo_refuses(call: Call, home: Path) -> None:
    (home / "bin/nuxeo.conf").write_text("a=1\nhome=C:\\users\n", encoding="utf-8")
    found = call("nuxeo_conf_facts", path=str(home / "bin/nuxeo.conf"), environment={})
    assert found["failed"]
    assert found["msg"].startswith(f"Reading of property 'home' at {home}/bin/nuxeo.conf:2: ")


def test_facts_of_no_file(call: Call, home: Path) -> None:
    found = call("nuxeo_conf_facts", path=str(home / "none.conf"), home=str(home), environment={})
    assert found["msg"] == f"Reading of '{home}/none.conf': there is no such file. Give the path of nuxeo.conf."


def test_conf(call: Call, home: Path) -> None:
    path = home / "bin/nuxeo.conf"
    options = {"path": str(path), "properties": {"a": "é", "n": 1}, "secret_properties": {"my.token": "canary3"}}
    before = tree(home)
    predicted = call("nuxeo_conf", check=True, **options, backup=True)
    assert tree(home) == before
    done = call("nuxeo_conf", **options, backup=True)
    assert {**predicted, "backup_file": None, "output": ""} == {**done, "backup_file": None, "output": ""}
    assert done["changed"]
    assert done["properties_changed"] == ["a", "my.token", "n"]
    assert "canary" not in done["output"] + predicted["output"]
    assert path.read_text(encoding="utf-8") == (
        "# mine\nnuxeo.db.password=canary1\nnuxeo.templates=default,own\na=\\u00e9\nmy.token=canary3\nn=1\n"
    )
    assert hashlib.sha256(Path(done["backup_file"]).read_bytes()).hexdigest() == before[str(path)][:64]
    again = call("nuxeo_conf", **options, backup=True)
    assert (again["changed"], again["backup_file"], again["properties_changed"]) == (False, None, [])
    gone = call("nuxeo_conf", path=str(path), properties={"n": None}, state="absent")
    assert gone["properties_changed"] == ["n"]
    plain = path.read_bytes()
    call("nuxeo_conf", path=str(path), restore_guard="armed", restore_set="20261123T020004Z")
    kept = call("nuxeo_conf", path=str(path), properties={"a": 2}, backup=True)["backup_file"]
    assert Path(kept).read_bytes() == plain, "Nuxeo starts with it when it is put back"
    assert "restore guard" in path.read_text(encoding="utf-8")
    for options in (
        {"restore_guard": "armed", "restore_set": "20261124T020004Z", "restore_by": "another"},
        {"properties": {"a": 3}, "backup": True},
        {"properties": {"a": 3}, "backup": True},
        {"restore_guard": "absent"},
    ):
        assert call("nuxeo_conf", path=str(path), **options)["backup_file"] == kept, "there is one of a restore"
    again = {"restore_guard": "armed", "restore_set": "20261124T020004Z", "restore_kept": kept}
    assert call("nuxeo_conf", path=str(path), **again)["changed"]
    assert call("nuxeo_conf", path=str(path), **again)["backup_file"] == kept
    assert not call("nuxeo_conf", path=str(path), **{**again, "restore_kept": None})["changed"]
    os.unlink(kept)
    assert os.path.exists(call("nuxeo_conf", path=str(path), properties={"a": 4}, backup=True)["backup_file"])


def test_the_copy_of_a_conf_is_written_through_no_link(
    call: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name can be guessed, and Nuxeo's user may make links beside the file."""
    path, precious = home / "bin/nuxeo.conf", tmp_path / "precious"
    before = path.read_bytes()
    precious.write_text("precious", encoding="utf-8")
    monkeypatch.setattr(time, "strftime", lambda *_words: "now")
    for name in ("now~", "now"):  # with the sign in the format or behind it
        Path(f"{path}.{os.getpid()}.{name}").symlink_to(precious)
    kept = Path(call("nuxeo_conf", path=str(path), properties={"a": 2}, backup=True)["backup_file"])
    assert (kept.read_bytes(), kept.is_symlink(), precious.read_text("utf-8")) == (before, False, "precious")


def test_a_copy_of_a_conf_that_cannot_be_written_is_told(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = home / "bin/nuxeo.conf"
    before = tree(home)
    monkeypatch.setattr(os, "fsync", full)
    msg = call("nuxeo_conf", path=str(path), properties={"a": 2}, backup=True)["msg"]
    assert msg.startswith(f"Writing of '{path}.{os.getpid()}.") and ": No space left on device. It is as" in msg
    assert tree(home) == before


def test_conf_guard(call: Call, home: Path) -> None:
    path = home / "bin/nuxeo.conf"
    before = path.read_bytes()
    assert call("nuxeo_conf", path=str(path), restore_guard="armed")["failed"]
    done = call("nuxeo_conf", path=str(path), restore_guard="armed", restore_set="20261123T020004Z")
    assert done["changed"] and done["guard_changed"]
    failed = call("nuxeo_conf_facts", path=str(path), home=str(home), environment={})
    assert "a restore onto this instance has begun and has not ended" in failed["msg"]
    assert call("nuxeo_conf", path=str(path), restore_guard="absent")["guard_changed"]
    assert path.read_bytes() == before


FORK = multiprocessing.get_context("fork")


def change_conf(options: dict[str, t.Any], gate: t.Any, results: t.Any) -> None:
    module = importlib.import_module(f"{MODULES}.nuxeo_conf")
    out = io.StringIO()
    gate.wait()
    try:
        with patch_module_args(options), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            module.main()
        results.put(json.loads(out.getvalue().strip().splitlines()[-1]))
    except BaseException as error:  # whoever waits for the result is told
        results.put({"failed": True, "msg": f"{error!r} after {out.getvalue()!r}"})
        raise


def at_once(options: t.Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The results of as many processes, each with one of the options."""
    gc.collect()  # clients of Kafka that other tests have left: a child that frees one ends by a signal
    gate, results = FORK.Barrier(len(options)), FORK.SimpleQueue()
    runs = [FORK.Process(target=change_conf, args=(one, gate, results)) for one in options]
    for run in runs:
        run.start()
    found = [results.get() for dummy in runs]
    for run in runs:
        run.join()
    return found


def test_conf_that_nodes_share_is_written_once(home: Path) -> None:
    conf = home / "bin/nuxeo.conf"
    conf.write_text(conf.read_text() + "".join(f"more{number}=x\n" for number in range(2000)))  # reading takes its time
    for number in range(4):
        before = set(conf.parent.iterdir())
        same = {"path": str(conf), "properties": {"a": str(number), "b": "2"}, "backup": True}
        found = at_once([same] * 8)
        assert [one.get("msg") for one in found if one.get("failed")] == []
        assert len([one for one in found if one["changed"]]) == 1
        kept = [one["backup_file"] for one in found if one["backup_file"]]
        assert {str(path) for path in set(conf.parent.iterdir()) - before} == set(kept) and len(kept) == 1
        os.unlink(kept[0])
    found = at_once([{"path": str(conf), "properties": {f"own{number}": "1"}} for number in range(8)])
    assert [one["changed"] for one in found] == [True] * 8
    assert {f"own{number}=1" for number in range(8)} <= set(conf.read_text().splitlines()), "no change is lost"
    assert [path.name for path in conf.parent.iterdir()] == ["nuxeo.conf"]


def test_conf_that_another_process_changes_is_waited_for(home: Path) -> None:
    conf = home / "bin/nuxeo.conf"
    lock = conf.with_name(".nuxeo.conf.lock")
    argv = ["flock", str(lock), "sh", "-c", "echo; sleep 60"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as other:
        assert other.stdout and other.stdout.readline()
        with pytest.raises(ConfError, match=f"another process has '{lock}' since 0 s"), alone(str(conf), 0.1):
            pass
        os.killpg(other.pid, signal.SIGKILL)
    with alone(str(conf)):  # what the killed one has left is in nobody's way
        assert lock.exists()
    assert not lock.exists()


def test_copy_and_back(call: Call, home: Path, tmp_path: Path) -> None:
    dest = tmp_path / "set/conf/node"
    options = {"nuxeo_conf": str(home / "bin/nuxeo.conf"), "nuxeo_home": str(home)}
    predicted = call("nuxeo_conf_copy", check=True, **options, nuxeo_environment={}, dest=str(dest))
    assert not dest.exists()
    dest.parent.mkdir(parents=True)
    done = call("nuxeo_conf_copy", **options, nuxeo_environment={}, dest=str(dest))
    assert predicted["parts"] == done["parts"]
    assert done["files"] == 6
    names = sorted(str(path.relative_to(dest)) for path in dest.rglob("*") if path.is_file())
    assert names == [
        *(
            "keys/1-store.jks",
            "nuxeo.conf",
            "parts.json",
            "templates/default/nuxeo.defaults",
            "templates/nuxeo.defaults",
        ),
        *("templates/own/config/own.xml", "templates/own/nuxeo.defaults", "tree.jsonl"),
    ]
    assert all(path.stat().st_mode & 0o077 == 0 for path in [dest, *dest.rglob("*")])
    assert "canary" not in done["output"]
    assert call("nuxeo_conf_copy", **options, nuxeo_environment={}, dest=str(dest))["failed"]

    assert not call("nuxeo_conf_copy", **options, src=str(dest))["changed"]
    before = tree(home)
    (home / "templates/own/config/own.xml").unlink()
    (home / "templates/own/more").write_text("x", encoding="utf-8")
    (home / "keys/store.jks").write_text("another", encoding="utf-8")
    damaged = tree(home)
    predicted = call("nuxeo_conf_copy", check=True, **options, src=str(dest))
    assert tree(home) == damaged
    done = call("nuxeo_conf_copy", **options, src=str(dest))
    assert done["restored"] == predicted["restored"] == [str(home / "keys/store.jks"), str(home / "templates/own")]
    aside = [Path(path) for path in done["kept_aside"]]
    assert [path.name.split(".before-")[0] for path in aside] == ["store.jks", "own"]
    assert aside[0].read_text(encoding="utf-8") == "another"
    assert (aside[1] / "more").is_file()
    assert {name: digest for name, digest in tree(home).items() if ".before-" not in name} == before
    assert not call("nuxeo_conf_copy", **options, src=str(dest))["changed"]


def test_copy_goes_to_the_home_of_the_target(call: Call, home: Path, tmp_path: Path) -> None:
    dest = tmp_path / "saved"
    call("nuxeo_conf_copy", nuxeo_conf=str(home / "bin/nuxeo.conf"), nuxeo_environment={}, dest=str(dest))
    other = tmp_path / "other"
    distribution = other / "templates/common/config/distribution.properties"
    distribution.parent.mkdir(parents=True)
    distribution.write_text("org.nuxeo.distribution.version=2023.40\n", encoding="utf-8")
    (other / "nuxeo.conf").write_text("x=1\n", encoding="utf-8")
    options = {"nuxeo_conf": str(other / "nuxeo.conf"), "nuxeo_home": str(other), "src": str(dest)}
    done = call("nuxeo_conf_copy", **options, parts=["conf", "keys", "templates"])
    assert done["changed"] and len(done["kept_aside"]) == 1
    assert Path(done["kept_aside"][0]).read_text(encoding="utf-8") == "x=1\n"
    assert (other / "templates/own/config/own.xml").read_text(encoding="utf-8") == "<own/>\n"
    assert (other / "nuxeo.conf").read_bytes() == (home / "bin/nuxeo.conf").read_bytes()
    call("nuxeo_conf", path=options["nuxeo_conf"], restore_guard="armed", restore_set="20261123T020004Z")
    armed = (other / "nuxeo.conf").read_bytes()
    assert "has begun and has not ended" in call("nuxeo_conf_copy", **options, parts=["conf"])["msg"]
    assert (other / "nuxeo.conf").read_bytes() == armed
    distribution.write_text("org.nuxeo.distribution.version=2025.1\n", encoding="utf-8")
    assert "they are of Nuxeo 2023.31, and Nuxeo 2025.1 is" in call("nuxeo_conf_copy", **options)["msg"]


def test_copy_goes_where_a_link_leads(call: Call, home: Path, tmp_path: Path) -> None:
    conf, real = home / "bin/nuxeo.conf", tmp_path / "shared/nuxeo.conf"
    real.parent.mkdir()
    conf.rename(real)
    conf.symlink_to(real)
    saved = real.read_bytes()
    options = {"nuxeo_conf": str(conf), "nuxeo_home": str(home)}
    call("nuxeo_conf_copy", **options, nuxeo_environment={}, dest=str(tmp_path / "saved"))
    real.write_text("x=1\n", encoding="utf-8")
    assert not call("nuxeo_conf_copy", **options, src=str(tmp_path / "saved"))["changed"], "it says what the target is"
    predicted = call("nuxeo_conf_copy", check=True, **options, src=str(tmp_path / "saved"), parts=["conf"])
    done = call("nuxeo_conf_copy", **options, src=str(tmp_path / "saved"), parts=["conf"])
    assert conf.is_symlink() and real.read_bytes() == saved
    assert done["restored"] == predicted["restored"] == [str(real)]
    (aside,) = map(Path, done["kept_aside"])
    assert not aside.is_symlink() and aside.read_text(encoding="utf-8") == "x=1\n"
    assert not call("nuxeo_conf_copy", **options, src=str(tmp_path / "saved"), parts=["conf"])["changed"]


def test_copy_of_a_damaged_set(call: Call, home: Path, tmp_path: Path) -> None:
    dest = tmp_path / "saved"
    options = {"nuxeo_conf": str(home / "bin/nuxeo.conf"), "nuxeo_home": str(home)}
    call("nuxeo_conf_copy", **options, nuxeo_environment={}, dest=str(dest))
    (home / "templates/own/more").write_text("x", encoding="utf-8")
    before = tree(home)
    (dest / "templates/own/config/own.xml").write_text("<owl/>\n", encoding="utf-8")
    assert "The set is damaged" in call("nuxeo_conf_copy", **options, src=str(dest))["msg"]
    (dest / "keys/1-store.jks").write_text("b key\n", encoding="utf-8")
    assert "is not what tree.jsonl says" in call("nuxeo_conf_copy", **options, src=str(dest), parts=["keys"])["msg"]
    assert tree(home) == before, "what is there stays until all that takes its place is whole"


def test_copy_to_a_full_disk(call: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there stays, a key file like a folder: without it Nuxeo would come up and read nothing of its secrets."""
    options = {"nuxeo_conf": str(home / "bin/nuxeo.conf"), "nuxeo_home": str(home)}
    call("nuxeo_conf_copy", **options, nuxeo_environment={}, dest=str(tmp_path / "saved"))
    options.update(src=str(tmp_path / "saved"))
    (home / "keys/store.jks").write_text("another", encoding="utf-8")
    before = tree(home)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        msg = call("nuxeo_conf_copy", **options, parts=["keys"])["msg"]
    assert msg.startswith(f"Restore of '{home}/keys/store.jks': No space left on device. What is there stays.")
    assert tree(home) == before
    assert call("nuxeo_conf_copy", **options)["restored"] == [str(home / "keys/store.jks")]
    assert sorted(path.name.partition(".before-")[0] for path in (home / "keys").iterdir()) == ["store.jks"] * 2


def full(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_copy_of_an_owner_that_is_not_known_here(call: Call, home: Path, tmp_path: Path) -> None:
    options = {"nuxeo_conf": str(home / "bin/nuxeo.conf"), "nuxeo_home": str(home)}
    call("nuxeo_conf_copy", **options, nuxeo_environment={}, dest=str(tmp_path / "saved"))
    options.update(src=str(tmp_path / "saved"))
    for damaged in ("keys/store.jks", "templates/own/config/own.xml"):
        (home / damaged).write_text("another", encoding="utf-8")
    before = tree(home)
    refused = call("nuxeo_conf_copy", **options, owner="no-such-user")
    assert "there is no user 'no-such-user' on this host. Make them, or name others by restore_owner" in refused["msg"]
    assert tree(home) == before
    assert call("nuxeo_conf_copy", **options)["changed"]
    (home / "keys/store.jks").chmod(0o604)  # as a killed run would have left one: the bytes alone are not all
    assert call("nuxeo_conf_copy", **options)["restored"] == [str(home / "keys/store.jks")]
    assert not call("nuxeo_conf_copy", **options)["changed"]


def test_copy_leaves_templates_of_another_version_as_installed(call: Call, home: Path, tmp_path: Path) -> None:
    options = {"nuxeo_conf": str(home / "bin/nuxeo.conf"), "nuxeo_home": str(home)}
    call("nuxeo_conf_copy", **options, nuxeo_environment={}, dest=str(tmp_path / "saved"))
    (home / "templates/own").rename(tmp_path / "own")
    (home / "templates/default/nuxeo.defaults").write_text("new=1\n", encoding="utf-8")
    for check in (True, False):
        done = call("nuxeo_conf_copy", check=check, **options, src=str(tmp_path / "saved"), nuxeo_version="2023.40")
        assert done["left"] == [str(home / "templates/default")]
        assert done["restored"] == [str(home / "templates/own")]
    assert (home / "templates/default/nuxeo.defaults").read_text(encoding="utf-8") == "new=1\n"
    same = call("nuxeo_conf_copy", **options, src=str(tmp_path / "saved"))
    assert (same["left"], same["restored"]) == ([], [str(home / "templates/default")])


def test_copy_changes_nothing_of_a_server_that_runs(
    call: Call, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"nuxeo_conf": str(home / "bin/nuxeo.conf"), "nuxeo_home": str(home)}
    call("nuxeo_conf_copy", **options, nuxeo_environment={}, dest=str(tmp_path / "saved"))
    options.update(src=str(tmp_path / "saved"))
    monkeypatch.setattr(copy, "running", lambda conf: [Running(4711, conf, None, "0")])
    assert not call("nuxeo_conf_copy", **options)["changed"]
    (home / "templates/own/config/own.xml").write_text("another", encoding="utf-8")
    before = tree(home)
    assert "as process 4711, so its configuration is not lost" in call("nuxeo_conf_copy", **options)["msg"]
    assert tree(home) == before


@pytest.fixture
def instance(make_nuxeo: t.Callable[..., Instance]) -> t.Iterator[Instance]:
    made = make_nuxeo(None, properties={"mine": "${env:MINE:unset}"})
    yield made
    kept.forget(str(made.conf))


def alive(pid: int) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.returncode == 0 and not found.stdout.startswith("Z")


def test_service(call: Call, instance: Instance) -> None:
    options = {"conf": str(instance.conf), "home": str(instance.home), "timeout": 60}
    predicted = call("nuxeo_service", check=True, state="started", **options)
    assert (predicted["changed"], predicted["running_before"], predicted["pid"]) == (True, False, None)
    started = call("nuxeo_service", state="started", environment={"MINE": "canary", "MY_TOKEN": "hidden1"}, **options)
    assert started["changed"] and not started["running_before"]
    assert "hidden1" not in started["output"]
    assert alive(started["pid"])
    assert b"MINE=canary" in Path(f"/proc/{started['pid']}/environ").read_bytes()
    again = call("nuxeo_service", state="started", **options)
    assert (again["changed"], again["running_before"], again["pid"]) == (False, True, started["pid"])
    found = call("nuxeo_conf_facts", path=str(instance.conf), properties=["mine"])
    assert found["ansible_facts"]["nuxeo"]["properties"] == {"mine": "canary"}

    predicted = call("nuxeo_service", check=True, state="stopped", **options)
    assert predicted["changed"] and alive(started["pid"])
    stopped = call("nuxeo_service", state="stopped", **options)
    assert (stopped["changed"], stopped["running_before"], stopped["pid"]) == (True, True, None)
    assert not alive(started["pid"])
    assert not call("nuxeo_service", state="stopped", **options)["changed"]

    # the environment that it ran in comes back with it
    assert (kept.kept(str(instance.conf)) or {})["MINE"] == "canary"
    back = call("nuxeo_service", state="started", **options)
    assert b"MINE=canary" in Path(f"/proc/{back['pid']}/environ").read_bytes()
    assert kept.kept(str(instance.conf)) is None, "another start may be in another one"
    assert "canary" not in stopped["output"] + back["output"]
    call("nuxeo_service", state="stopped", **options)


def test_service_that_a_launcher_is_about_to_start_is_not_stopped(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"conf": str(home / "bin/nuxeo.conf"), "home": str(home), "environment": {}}
    assert not call("nuxeo_service", check=True, state="stopped", **options)["running_before"]
    about = [Running(4711, options["conf"], None, "0")]
    monkeypatch.setattr(f"{MODULES}.nuxeo_service.Service.settled", lambda _self: about)
    found = call("nuxeo_service", check=True, state="stopped", **options)
    assert (found["changed"], found["running_before"], found["pid"]) == (True, True, None)


def test_service_waits_for_the_answer_and_not_for_the_process(call: Call, instance: Instance) -> None:
    options = {"conf": str(instance.conf), "home": str(instance.home)}
    found = call("nuxeo_service", state="started", url="http://127.0.0.1:9/nuxeo", timeout=4, **options)
    assert found["failed"]
    assert "after 4 s process " in found["msg"] and "runningstatus?info=started says URLError" in found["msg"]
    again = call("nuxeo_service", state="started", url="http://127.0.0.1:9/nuxeo", timeout=0, **options)
    assert "after 0 s process " in again["msg"], "that its process is there is not enough"
    assert call("nuxeo_service", state="stopped", timeout=60, **options)["running_before"]


def test_service_does_not_start_what_is_half_restored(call: Call, instance: Instance) -> None:
    call("nuxeo_conf", path=str(instance.conf), restore_guard="armed", restore_set="20261123T020004Z")
    options = {"conf": str(instance.conf), "home": str(instance.home), "timeout": 5}
    assert "has begun and has not ended" in call("nuxeo_service", state="started", **options)["msg"]
    assert not call("nuxeo_service", state="stopped", **options)["changed"]


def test_service_without_a_program(call: Call, instance: Instance) -> None:
    options = {"conf": str(instance.conf), "home": str(instance.home), "timeout": 5}
    found = call("nuxeo_service", name="/no/nuxeoctl", state="started", **options)
    assert found["msg"].startswith("Start of Nuxeo by '/no/nuxeoctl': '/no/nuxeoctl' is no program.")


def test_service_tells_what_the_program_said(call: Call, instance: Instance, tmp_path: Path) -> None:
    script = tmp_path / "nuxeoctl"
    script.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n", encoding="utf-8")
    script.chmod(0o755)
    options = {"conf": str(instance.conf), "home": str(instance.home), "timeout": 5}
    found = call("nuxeo_service", name=str(script), state="started", **options)
    assert "exit code 3, no such luck" in found["msg"]


def test_service_that_does_not_stop(call: Call, instance: Instance, tmp_path: Path) -> None:
    options = {"conf": str(instance.conf), "home": str(instance.home), "timeout": 60}
    pid = call("nuxeo_service", state="started", **options)["pid"]
    script = tmp_path / "nuxeoctl"
    script.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    script.chmod(0o755)
    found = call("nuxeo_service", name=str(script), state="stopped", **{**options, "timeout": 2})
    assert f"process {pid} still runs" in found["msg"]
    call("nuxeo_service", state="stopped", **options)
    assert not alive(pid)
