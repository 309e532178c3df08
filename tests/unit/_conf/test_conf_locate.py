# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nuxeo.conf, home and environment, when they are not given: the process, its unit, the known places."""

from __future__ import annotations

import os
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import kept
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import locate as locate_module
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.locate import Place, locate
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import environment_option
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.process import BOOTSTRAP, environment_of, running
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.unit import units, words
from ansible_collections.nuxeo.platform.tests.unit._conf.layout import home_at, write_unit

Start = t.Callable[..., int]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host of its own: its files, where no process runs."""
    (tmp_path / "proc").mkdir()
    return tmp_path


def find(root: Path, path: str | None = None, home: str | None = None, real: bool = False) -> Place:
    return locate(path, home, None, "/proc" if real else str(root / "proc"), str(root))


@pytest.fixture
def start() -> t.Iterator[Start]:
    """Starts a process that looks like a server."""
    children = []

    def make(conf: Path, home: Path, **environment: str) -> int:
        code = "import time; print(flush=True); time.sleep(60)"
        words = [sys.executable, "-c", code, f"-Dnuxeo.home={home}", f"-Dnuxeo.conf={conf}", BOOTSTRAP, "start"]
        child = subprocess.Popen(words, env={**environment, "PATH": os.environ["PATH"]}, stdout=subprocess.PIPE)
        children.append(child)
        assert child.stdout
        child.stdout.readline()
        return child.pid

    yield make
    for child in children:
        child.kill()
        child.wait()


def test_all_is_given(root: Path) -> None:
    assert locate("/a", "/b", {"X": "1"}, "/none", "/none") == Place("/a", "/b", {"X": "1"})


def test_nothing_is_there(root: Path) -> None:
    with pytest.raises(ConfError, match="no running server, no systemd unit and no known place"):
        find(root)


def test_a_known_place(root: Path) -> None:
    home = home_at(root)
    assert find(root) == Place(str(home / "bin/nuxeo.conf"), str(home), {})
    conf = root / "etc/nuxeo/nuxeo.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("", encoding="utf-8")
    assert find(root) == Place(str(conf), str(home), {})
    with pytest.raises(ConfError, match="there are several: .*/etc/nuxeo/nuxeo.conf and .*/bin/nuxeo.conf"):
        find(root, home=str(home))
    conf.unlink()
    assert find(root, home=str(home)) == Place(str(home / "bin/nuxeo.conf"), str(home), {})


def test_a_home_has_the_conf_that_its_server_or_its_unit_uses(root: Path, start: Start) -> None:
    """And not the one that was left in its folder bin when it was moved, as Nuxeo's manual advises."""
    home = home_at(root, "srv/nuxeo")
    conf = root / "etc/nuxeo/nuxeo.conf"
    write_unit(root, f"[Service]\nEnvironment=NUXEO_CONF={conf}\nExecStart={home}/bin/nuxeoctl startbg\n")
    assert find(root, home=str(home)).conf == str(conf)
    (root / "etc/systemd/system/nuxeo.service").unlink()
    start(conf, home, DB="x")
    found = find(root, home=str(home), real=True)
    assert (found.conf, found.environment["DB"]) == (str(conf), "x")


def test_the_home_of_a_path(root: Path) -> None:
    home = home_at(root, "somewhere")
    assert find(root, str(home / "bin/nuxeo.conf")).home == str(home)
    with pytest.raises(ConfError, match="NUXEO_HOME"):
        find(root, str(root / "etc/nuxeo.conf"))


def test_the_shell_of_the_caller_is_not_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_at(root)
    monkeypatch.setenv("NUXEO_CONF", "/shell/nuxeo.conf")
    monkeypatch.setenv("SOMETHING", "of the shell")
    assert find(root) == Place(str(home / "bin/nuxeo.conf"), str(home), {})


def test_a_running_server(root: Path, start: Start) -> None:
    home = home_at(root)
    conf = home / "bin/nuxeo.conf"
    pid = start(conf, home, DB="x y", EMPTY="")
    assert [server.pid for server in running(str(conf))] == [pid]
    for given in ({"path": str(conf)}, {"home": str(home)}):
        found = find(root, real=True, **given)
        assert (found.conf, found.home) == (str(conf), str(home))
        assert (found.environment["DB"], found.environment["EMPTY"]) == ("x y", "")
        assert "HOME" not in found.environment


def test_the_process_of_converted_line_ends(root: Path, start: Start) -> None:
    home = home_at(root)
    start(home / "bin/nuxeo.conf.fixed", home, DB="x")
    found = find(root, str(home / "bin/nuxeo.conf"), real=True)
    assert (found.conf, found.environment["DB"]) == (str(home / "bin/nuxeo.conf"), "x")


def test_other_processes_are_none(root: Path, start: Start) -> None:
    home = home_at(root)
    conf = home / "bin/nuxeo.conf"
    start(Path(f"{conf}2"), home)
    script = ["/bin/sh", "-c", "read x", f"-Dnuxeo.conf={conf}", BOOTSTRAP]
    shell = subprocess.Popen(script, stdin=subprocess.PIPE)
    java = [sys.executable, "-c", "input()", f"-Dnuxeo.conf={conf}"]
    others = [subprocess.Popen(java + words, stdin=subprocess.PIPE) for words in (["start"], [BOOTSTRAP, "stop"])]
    try:
        assert running(str(conf)) == []
    finally:
        for child in (shell, *others):
            child.communicate(b"\n")


def test_a_server_in_a_container_is_none_but_where_it_has_the_same_nuxeo_conf(root: Path) -> None:
    """All of the packages and images have their nuxeo.conf in the same place."""
    conf = root / "host/nuxeo.conf"
    conf.parent.mkdir()
    conf.touch()
    for name in ("container", "mounted"):
        (root / name / str(conf.parent)[1:]).mkdir(parents=True)
    (root / "container" / str(conf)[1:]).touch()
    os.link(conf, root / "mounted" / str(conf)[1:])
    words = ["java", f"-Dnuxeo.conf={conf}", BOOTSTRAP, "start"]
    roots = (("7", "/"), ("8", root / "container"), ("9", root / "unreadable"), ("10", root / "mounted"), ("11", root))
    for pid, its_root in roots:
        process = root / "proc" / pid
        process.mkdir()
        (process / "cmdline").write_bytes("\0".join(words).encode())
        (process / "stat").write_text(f"{pid} (java) S " + "1 " * 20, encoding="utf-8")
        (process / "root").symlink_to(its_root)
    assert [server.pid for server in running(str(conf), str(root / "proc"))] == [7, 9, 10]


def test_two_servers_must_be_told_apart(root: Path, start: Start) -> None:
    home = home_at(root)
    for number in (1, 2):
        start(root / f"{number}/nuxeo.conf", home)
    (home / "bin/nuxeo.conf").unlink()
    with pytest.raises(ConfError, match="there are several"):
        find(root, home=str(home), real=True)


UNIT = """[Unit]
Description=Nuxeo

[Service]
Type=forking
User=nuxeo
Environment=NUXEO_CONF={conf} "DB=x y" 'Q=a"b' E=1\\
  F=2
# Environment=G=3
Environment=H=50%%
EnvironmentFile=-{root}/etc/default/missing
EnvironmentFile={root}/etc/default/nuxeo
ExecStart={home}/bin/nuxeoctl --quiet startbg
ExecStop={home}/bin/nuxeoctl stop

[Install]
Environment=I=4
"""


def test_a_unit(root: Path) -> None:
    home = home_at(root, "srv/nuxeo")
    conf = root / "etc/nuxeo/nuxeo.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text("", encoding="utf-8")
    default = root / "etc/default/nuxeo"
    default.parent.mkdir(parents=True)
    default.write_text(
        '# c\nE=from file\nJ=\'single $x\' \nK="dou\\"ble"\n;L=1\nM=plain # not a comment\n', encoding="utf-8"
    )
    text = UNIT.format(conf=conf, home=home, root="")
    write_unit(root, text.replace("DB=x y", "DB=wrong"), "usr/lib/systemd/system/nuxeo.service")
    write_unit(root, text)
    write_unit(root, "[Service]\nEnvironment=N=drop-in F=3\n", "etc/systemd/system/nuxeo.service.d/10-more.conf")
    write_unit(root, "[Service]\nExecStart=/usr/bin/other\nEnvironment=DB=other\n", "etc/systemd/system/other.service")
    expected = {
        "NUXEO_CONF": str(conf),
        "DB": "x y",
        "Q": 'a"b',
        "E": "from file",
        "F": "3",
        "H": "50%",
        "N": "drop-in",
    }
    expected |= {"J": "single $x", "K": 'dou"ble', "M": "plain # not a comment"}
    assert find(root) == Place(str(conf), str(home), expected)
    assert find(root, str(conf)).environment == expected
    assert [unit.name for unit in units(str(root))] == ["nuxeo.service"]
    assert units(str(root))[0].user == "nuxeo"


def test_a_drop_in_empties_the_environment(root: Path) -> None:
    home = home_at(root)
    write_unit(root, UNIT.format(conf="/x", home=home, root="/none"))
    lines = "[Service]\nEnvironment=\nEnvironment=A=1\nEnvironmentFile=\n"
    write_unit(root, lines, "run/systemd/system/nuxeo.service.d/a.conf")
    assert find(root).environment == {"A": "1"}


def test_a_missing_environment_file_is_an_error(root: Path) -> None:
    home = home_at(root)
    write_unit(root, f"[Service]\nEnvironmentFile=/etc/default/nuxeo\nExecStart={home}/bin/nuxeoctl startbg\n")
    with pytest.raises(ConfError, match=r"nuxeo\.service"):
        find(root)


def test_the_unit_of_another_instance_is_none(root: Path) -> None:
    home, other = home_at(root, "a"), home_at(root, "b")
    write_unit(root, f"[Service]\nEnvironment=DB=a\nExecStart={home}/bin/nuxeoctl startbg\n")
    assert find(root, str(home / "bin/nuxeo.conf")).environment == {"DB": "a"}
    assert find(root, str(other / "bin/nuxeo.conf")).environment == {}


def test_a_template_of_units_starts_nothing_itself(root: Path) -> None:
    home = home_at(root)
    text = f"[Service]\nEnvironmentFile=/etc/nuxeo/%i.env\nExecStart={home}/bin/nuxeoctl startbg\n"
    write_unit(root, text, "etc/systemd/system/nuxeo@.service")
    assert find(root, str(home / "bin/nuxeo.conf"), str(home)).environment == {}
    write_unit(root, "[Service]\nEnvironment=DB=a\nExecStart=/x/bin/nuxeoctl startbg\n")
    assert find(root).environment == {"DB": "a"}


def test_a_unit_of_two_names_is_one(root: Path) -> None:
    home = home_at(root)
    write_unit(root, f"[Service]\nEnvironment=DB=a\nExecStart={home}/bin/nuxeoctl startbg\n")
    (root / "etc/systemd/system/dms.service").symlink_to(root / "etc/systemd/system/nuxeo.service")
    write_unit(root, "[Service]\nEnvironment=MORE=b\n", "etc/systemd/system/dms.service.d/more.conf")
    assert [unit.name for unit in units(str(root))] == ["nuxeo.service"]
    found = find(root, str(home / "bin/nuxeo.conf"), str(home))
    assert found == find(root) == Place(str(home / "bin/nuxeo.conf"), str(home), {"DB": "a", "MORE": "b"})


@pytest.mark.parametrize("whole", [True, False], ids=["gone", "a-zombie"])
def test_a_server_that_ends_while_it_is_looked_at(
    root: Path, start: Start, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    home = home_at(root)
    write_unit(root, f"[Service]\nEnvironment=DB=a\nExecStart={home}/bin/nuxeoctl startbg\n")
    pid = start(home / "bin/nuxeo.conf", home, DB="b")

    def ends_first(asked: int, proc: str) -> dict[str, str]:
        os.kill(pid, 9)
        os.waitid(os.P_PID, pid, os.WEXITED | (0 if whole else os.WNOWAIT))
        return environment_of(asked, proc)

    monkeypatch.setattr(locate_module, "environment_of", ends_first)
    found = find(root, str(home / "bin/nuxeo.conf"), real=True)
    assert found == Place(str(home / "bin/nuxeo.conf"), str(home), {"DB": "a"})


def test_an_empty_environment_is_that_of_a_process_that_ends(root: Path) -> None:
    (root / "proc/7").mkdir()
    (root / "proc/7/environ").touch()
    with pytest.raises(ConfError, match="process 7: it is empty"):
        environment_of(7, str(root / "proc"))


def test_the_environment_of_another_instance_need_not_be_readable(root: Path) -> None:
    home, other = home_at(root, "a"), home_at(root, "b")
    write_unit(root, f"[Service]\nEnvironmentFile=/none\nExecStart={other}/bin/nuxeoctl startbg\n")
    for given in ({"path": str(home / "bin/nuxeo.conf")}, {"home": str(home)}):
        assert find(root, **given) == Place(str(home / "bin/nuxeo.conf"), str(home), {})
    for given in ({"path": str(other / "bin/nuxeo.conf")}, {"home": str(other)}, {"path": "/etc/nuxeo.conf"}):
        with pytest.raises(ConfError, match=r"nuxeo\.service"):
            find(root, **given)
    write_unit(root, "[Service]\nEnvironmentFile=/none\nExecStart=nuxeoctl startbg\n")  # of which one, only that tells
    with pytest.raises(ConfError, match=r"nuxeo\.service"):
        find(root, home=str(home))


@pytest.mark.parametrize("command", ["'exec {}/bin/nuxeoctl startbg'", '"cd /tmp; {}/bin/nuxeoctl --quiet startbg&&x"'])
def test_a_unit_that_starts_it_by_a_shell(root: Path, command: str) -> None:
    home = home_at(root, "srv/nuxeo")
    write_unit(root, f"[Service]\nEnvironment=DB=a\nExecStart=/bin/sh -c {command.format(home)}\n")
    for given in ({}, {"path": str(home / "bin/nuxeo.conf")}):
        assert find(root, **given) == Place(str(home / "bin/nuxeo.conf"), str(home), {"DB": "a"})


def test_further_units_that_run_nuxeoctl_are_not_the_one_of_the_server(root: Path) -> None:
    home = home_at(root)
    write_unit(root, f"[Service]\nEnvironment=DB=a\nExecStart={home}/bin/nuxeoctl startbg\n")
    control = f"{home}/bin/nuxeoctl"
    copy = f"/bin/sh -c '{control} stop && tar c /data; {control} start'"
    for number, start in enumerate((copy, f"{control} status", f"/bin/sh -c '{control} status | grep x'")):
        text = f"[Service]\nEnvironment=DB={number}\nExecStart={start}\n"
        write_unit(root, text, f"etc/systemd/system/{number}.service")
    assert find(root).environment == {"DB": "a"}
    write_unit(root, f"[Service]\nExecStart={home}/bin/nuxeoctl console\n", "etc/systemd/system/more.service")
    with pytest.raises(ConfError, match="there are several: more.service, nuxeo.service. .* and the environment"):
        find(root)


def test_a_link_to_the_file_of_the_package_names_the_unit_that_overrides_it(root: Path) -> None:
    home = home_at(root)
    package = "usr/lib/systemd/system/nuxeo.service"
    write_unit(root, f"[Service]\nEnvironment=DB=of-the-package\nExecStart={home}/bin/nuxeoctl startbg\n", package)
    write_unit(root, f"[Service]\nEnvironment=DB=own\nExecStart={home}/bin/nuxeoctl startbg\n")
    (root / "etc/systemd/system/dms.service").symlink_to(root / package)
    assert [unit.name for unit in units(str(root))] == ["nuxeo.service"]
    assert find(root).environment == {"DB": "own"}


@pytest.mark.parametrize("start", ["nuxeoctl startbg", "/bin/sh -c 'cd ${NUXEO_HOME}; ./bin/nuxeoctl startbg'"])
def test_a_unit_that_does_not_say_where_its_home_is(root: Path, start: str) -> None:
    home = home_at(root)
    write_unit(root, f"[Service]\nEnvironment=DB=a\nExecStart={start}\n")
    assert find(root) == Place(str(home / "bin/nuxeo.conf"), str(home), {"DB": "a"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b", ["a", "b"]),
        ('"a b" c', ["a b", "c"]),
        ("A='x y'z", ["A=x yz"]),
        (r'"a\"b\\c" \x41\s', ['a"b\\c', "A "]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_kept_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = str(root)
    assert kept.kept("/x/nuxeo.conf", base) is None
    assert kept.keep("/x/nuxeo.conf", {"A": "1=2", "B": "é\n"}, base)
    assert kept.kept("/x/nuxeo.conf", base) == {"A": "1=2", "B": "é\n"}
    assert kept.kept("/y/nuxeo.conf", base) is None
    (folder,) = root.glob("nuxeo-platform-*")
    (file,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    kept.forget("/x/nuxeo.conf", base)
    assert kept.kept("/x/nuxeo.conf", base) is None


@pytest.mark.parametrize("start", [". /etc/nuxeo/env; {}", "{}"])
def test_what_a_unit_says_is_completed_by_what_its_server_had(
    root: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    """A shell may source more, systemd may pass more. What the unit says may have been corrected since the stop."""
    home = home_at(root)
    command = start.format(f"{home}/bin/nuxeoctl startbg")
    write_unit(root, f"[Service]\nEnvironment=DB=new\nExecStart=/bin/sh -c '{command}'\n")
    monkeypatch.setattr(locate_module, "kept", {str(home / "bin/nuxeo.conf"): {"DB": "old", "SOURCED": "1"}}.get)
    assert find(root).environment == {"DB": "new", "SOURCED": "1"}


def test_a_folder_of_others_is_not_trusted(root: Path) -> None:
    folder = root / f"nuxeo-platform-{os.geteuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    assert not kept.keep("/x/nuxeo.conf", {"A": "1"}, str(root))
    assert list(folder.iterdir()) == []


def test_the_option() -> None:
    assert environment_option(None) is None
    assert environment_option({"a": True, "b": 5432, "c": None, "d": "X"}) == {"a": "true", "b": "5432", "d": "X"}
