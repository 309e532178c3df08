# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of processes and of the files of units, where it decides which Nuxeo is meant and what it runs with."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import kept
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import locate as locate_module
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import unit as unit_module
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.locate import Place, locate
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.process import BOOTSTRAP, environment_of, running
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.unit import units
from ansible_collections.nuxeo.platform.tests.unit._conf.layout import home_at, write_unit


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host of its own: its files and its processes."""
    (tmp_path / "proc").mkdir()
    return tmp_path


def process(root: Path, pid: int, *words: str, environment: bytes = b"DB=x\0", stat: str = "(java) S") -> None:
    folder = root / "proc" / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_bytes("\0".join(words).encode())
    (folder / "environ").write_bytes(environment)
    (folder / "root").symlink_to("/")
    if stat:
        (folder / "stat").write_text(f"{pid} {stat} " + "1 " * 20, encoding="utf-8")


def server(root: Path, pid: int, conf: Path | str, *words: str, **more: t.Any) -> None:
    process(root, pid, "java", f"-Dnuxeo.conf={conf}", *words, BOOTSTRAP, "start", **more)


def find(root: Path, path: str | None = None, home: str | None = None, given: dict[str, str] | None = None) -> Place:
    return locate(path, home, given, str(root / "proc"), str(root))


def pids(root: Path, conf: str) -> list[int]:
    return [one.pid for one in running(conf, str(root / "proc"))]


def test_which_processes_are_servers(root: Path) -> None:
    server(root, 1, "/c/nuxeo.conf", stat="(java) Z")  # it has ended since its command line was read
    server(root, 2, "/c/nuxeo.conf", stat="")
    server(root, 3, "/c/nuxeo.conf", stat="(a) Z (b) S")  # whatever it is called
    process(root, 4, f"dms -Dnuxeo.conf=/c/nuxeo.conf {BOOTSTRAP} start")  # a title in the place of the words
    process(root, 5, "java", "/c/nuxeo.conf", BOOTSTRAP, "start")
    server(root, 6, "/old/nuxeo.conf", "-Dnuxeo.conf=/c/nuxeo.conf")  # Java takes the last one
    assert pids(root, "/c/nuxeo.conf") == [3, 4, 5, 6]
    assert pids(root, "/old/nuxeo.conf") == []


def test_the_environment_is_as_java_has_it_to_the_byte(root: Path) -> None:
    process(root, 7, "java", environment=b"A=first\0A=second\0odd\0B=\xff=\n\0")
    found = environment_of(7, str(root / "proc"))
    assert found == {"A": "first", "B": "\udcff=\n"}
    assert kept.keep("/x/nuxeo.conf", found, str(root)) and kept.kept("/x/nuxeo.conf", str(root)) == found


def test_a_server_says_more_than_what_was_kept_of_another_start(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_at(root, "a")
    server(root, 7, f"{home}/bin/nuxeo.conf.fixed", f"-Dnuxeo.home={home}")
    monkeypatch.setattr(locate_module, "kept", lambda _conf: {"DB": "old"})
    for given in ({}, {"home": str(home)}, {"path": str(home / "bin/nuxeo.conf")}):
        assert find(root, **given) == Place(str(home / "bin/nuxeo.conf"), str(home), {"DB": "x"})
    assert find(root, given={"DB": "given"}).environment == {"DB": "given"}


def test_a_server_whose_environment_may_not_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_at(root, "a")
    server(root, 7, home / "bin/nuxeo.conf", f"-Dnuxeo.home={home}")

    def refuse(pid: int, _proc: str) -> t.NoReturn:
        raise ConfError(f"Reading of process {pid}", "Permission denied")

    monkeypatch.setattr(locate_module, "environment_of", refuse)
    with pytest.raises(ConfError, match="process 7: Permission denied"):
        find(root, str(home / "bin/nuxeo.conf"))


def test_the_unit_of_the_server_that_runs(root: Path) -> None:
    """Which has not to be told apart from others, and says where the home is when the process does not."""
    for name, pid in (("a", 7), ("b", 0)):
        home = home_at(root, f"srv/{name}")
        text = f"[Service]\nEnvironment=NUXEO_CONF={root}/etc/{name}.conf\nExecStart={home}/bin/nuxeoctl startbg\n"
        write_unit(root, text, f"etc/systemd/system/{name}.service")
        if pid:
            server(root, pid, f"{root}/etc/{name}.conf")
    assert find(root) == Place(f"{root}/etc/a.conf", f"{root}/srv/a", {"DB": "x"})


def test_a_server_that_does_not_name_its_home(root: Path) -> None:
    home, other = home_at(root, "a"), home_at(root, "b")
    server(root, 7, home / "bin/nuxeo.conf")
    assert find(root, home=str(home)).environment == {"DB": "x"}
    assert find(root, home=str(other)).environment == {}


def test_the_home_that_a_unit_names(root: Path) -> None:
    """It starts a nuxeoctl that lies elsewhere, as that of the Debian package."""
    home = home_at(root, "srv/nuxeo")
    write_unit(root, f"[Service]\nEnvironment=NUXEO_HOME={home} DB=a\nExecStart=/usr/bin/nuxeoctl startbg\n")
    for given in ({}, {"home": str(home)}, {"path": str(home / "bin/nuxeo.conf")}):
        assert find(root, **given) == Place(
            str(home / "bin/nuxeo.conf"), str(home), {"DB": "a", "NUXEO_HOME": str(home)}
        )


def test_of_several_known_homes_none_is_guessed(root: Path) -> None:
    """Each has templates of its own, and so another database perhaps."""
    home, other = home_at(root, "opt/nuxeo/server"), root / "var/lib/nuxeo/server"
    conf = root / "etc/nuxeo/nuxeo.conf"
    conf.parent.mkdir(parents=True)
    conf.touch()
    other.parent.mkdir(parents=True)
    other.symlink_to(home)
    for given in ({}, {"path": str(conf)}):
        assert os.path.realpath(find(root, **given).home) == str(home)
    other.unlink()
    (other / "templates").mkdir(parents=True)
    for given in ({}, {"path": str(conf)}):
        with pytest.raises(ConfError, match=f"there are several: {home} and {other}. Name them by nuxeo_conf_path and"):
            find(root, **given)
    assert find(root, str(conf), str(other)).home == str(other)


def test_the_strongest_folder_of_a_drop_in_counts(root: Path) -> None:
    home = home_at(root, "srv/nuxeo")
    write_unit(root, f"[Service]\nExecStart={home}/bin/nuxeoctl startbg\n")
    for folder, value in (("etc", "own"), ("usr/lib", "of-the-package")):
        name = f"{folder}/systemd/system/nuxeo.service.d/db.conf"
        write_unit(root, f"[Service]\nEnvironment=DB={value}\n", name)
    assert find(root).environment == {"DB": "own"}


def test_a_masked_unit_is_none(root: Path) -> None:
    command = f"[Service]\nExecStart={home_at(root, 'srv/nuxeo')}/bin/nuxeoctl startbg\n"
    write_unit(root, command, "usr/lib/systemd/system/nuxeo.service")
    write_unit(root, command, "etc/systemd/system/nuxeo.service.d/start.conf")
    (root / "etc/systemd/system/nuxeo.service").symlink_to("/dev/null")
    assert units(str(root)) == []


def test_the_commands_of_a_unit(root: Path) -> None:
    home = home_at(root, "srv/nuxeo")
    write_unit(
        root, f"[Service]\nType=oneshot\nExecStart={home}/bin/nuxeoctl startbg\nExecStart=/usr/bin/wait-for-it\n"
    )
    (one,) = units(str(root))
    assert (one.home, one.is_direct) == (str(home), True)
    text = "[Service]\nExecStart=\nExecStart=/usr/bin/podman run nuxeo\n"
    write_unit(root, text, "etc/systemd/system/nuxeo.service.d/podman.conf")
    assert units(str(root)) == []
    text = f"[Service]\nExecStart=\nExecStart={home}/bin/nuxeoctl status\nExecStart=/usr/bin/systemctl start other\n"
    write_unit(root, text, "etc/systemd/system/nuxeo.service.d/podman.conf")
    assert units(str(root)) == []


def test_a_drop_in_that_may_not_be_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one with a password in it: without what it says the instance could be another one."""
    home, other = home_at(root, "a"), home_at(root, "b")
    write_unit(root, f"[Service]\nExecStart={home}/bin/nuxeoctl startbg\n")
    drop_in = "etc/systemd/system/nuxeo.service.d/db.conf"
    write_unit(root, "[Service]\nEnvironment=DB=a\n", drop_in)
    (root / "etc/systemd/system/nuxeo.service.d/gone.conf").symlink_to(root / "nowhere")
    assert find(root, home=str(home)).environment == {"DB": "a"}

    def closed(path: str, **words: t.Any) -> t.Any:
        if path == f"{root}/{drop_in}":
            raise PermissionError(13, "Permission denied", path)
        return open(path, **words)

    monkeypatch.setattr(unit_module, "open", closed, raising=False)
    with pytest.raises(
        ConfError, match=r"environment of nuxeo\.service: .*Permission denied: '.*/db\.conf'. Run as root"
    ):
        find(root, home=str(home))
    assert find(root, home=str(other)).environment == {}


def test_an_environment_that_somebody_else_has_laid_there_is_not_taken(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The start would run what it says."""
    conf, base = "/x/nuxeo.conf", str(root)
    assert kept.keep(conf, {"A": "1"}, base)
    folder = Path(kept.folder(base))
    folder.chmod(0o750)
    assert kept.kept(conf, base) is None
    folder.chmod(0o700)
    folder.rename(root / "elsewhere")
    folder.symlink_to(root / "elsewhere")
    assert kept.kept(conf, base) is None and not kept.keep(conf, {"A": "2"}, base)
    folder.unlink()
    (root / "elsewhere").rename(folder)
    assert kept.kept(conf, base) == {"A": "1"}
    monkeypatch.setattr(kept, "folder", lambda _base: str(folder))
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    assert kept.kept(conf, base) is None and not kept.keep(conf, {"A": "2"}, base)
