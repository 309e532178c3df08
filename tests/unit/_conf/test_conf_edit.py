# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of nuxeo.conf leave every other byte as it is, and the restore guard keeps every launcher out."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import guard, write
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.change import Plan, change
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.edit import Editor
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.load import load
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.secrets import MASK
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.version import LINES
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.write import alone, replace_file

BLOCK = "### BEGIN - DO NOT EDIT BETWEEN BEGIN AND END ###\n#b=0\nb=2\nserver.status.key=k\n### END - DO NOT EDIT\n"


def edited(text: str, version: str = "2023", **values: str | None) -> str:
    editor = Editor(text.encode(), LINES[version])
    for name, value in values.items():
        if value is None:
            editor.remove(name)
        else:
            editor.set(name, value)
    return editor.content.decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# c\na=1\nb=2\n", "# c\na=x\nb=2\n"),
        ("a:1\n", "a=x\n"),
        ("a=1\nb=2\n a = 3\nc=4\n", "a=1\nb=2\na=x\nc=4\n"),
        ("a=x\nb=2\na=3\n", "a=x\nb=2\na=x\n"),
        ("a=1\\\n  2\nb=3\\\n  4\n", "a=x\nb=3\\\n  4\n"),
        ("a=1\r\nb=2\r\n", "a=x\r\nb=2\r\n"),
        ("b=2\r\n", "b=2\r\na=x\r\n"),
        ("b=2", "b=2\na=x\n"),
        ("", "a=x\n"),
        ("b=1\\", "b=1\\\n\na=x\n"),
        ("# c\\", "# c\\\na=x\n"),
        ("c=1\n\n" + BLOCK, "c=1\na=x\n\n" + BLOCK),
        (BLOCK, "a=x\n" + BLOCK),
        ("#a=1\n", "#a=1\na=x\n"),
        ("a=1", "a=x"),
    ],
)
def test_set(before: str, after: str) -> None:
    assert edited(before, a="x") == after


@pytest.mark.parametrize("version", LINES)
def test_a_name_with_blanks_is_another_one_since_2021(version: str) -> None:
    same = version in ("8.10", "9.10", "10.10")
    assert edited("a\\ =1\n", version, a="x") == ("a=x\n" if same else "a\\ =1\na=x\n")
    assert edited("a\\ =1\n", version, a=None) == ("" if same else "a\\ =1\n")


def test_set_what_the_launcher_has_in_its_block() -> None:
    """With its note of an older value: up to 10.10 it would write the new one again behind that, unescaped."""
    without = BLOCK.replace("#b=0\nb=2\n", "")
    assert edited("b=1\n" + BLOCK, b="3") == "b=3\n" + without
    assert edited(BLOCK, b="3") == "b=3\n" + without
    assert edited("#b=1\n" + BLOCK, b=None) == "#b=1\n" + without
    assert edited(BLOCK, b="2") == BLOCK


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a=1\nb=2\na=3\n", "b=2\n"),
        ("b=1\na=2\\\n 3\n# a=4\n", "b=1\n# a=4\n"),
        ("b=1\n", "b=1\n"),
        ("a=1", ""),
    ],
)
def test_remove(before: str, after: str) -> None:
    assert edited(before, a=None) == after


@pytest.mark.parametrize(
    ("version", "encoding"),
    [(name, "utf-8") for name in LINES] + [(name, "iso-8859-1") for name in LINES if name not in ("2023", "2025")],
)
def test_what_is_read_back(tmp_path: Path, version: str, encoding: str) -> None:
    chance = random.Random(version)
    path = tmp_path / "nuxeo.conf"
    alphabet = "ab =:#!\\\t\n$\"'{}é€😀,;/|"
    for _number in range(150):
        old = f"# é\nfirst=é\nx=1\\\n  2\n{BLOCK}".encode(encoding)
        value = "".join(chance.choices(alphabet, k=chance.randint(0, 8))).strip(" \t\n")
        name = "n" + "".join(chance.choices(alphabet, k=chance.randint(0, 5))).strip(" \t\n")
        editor = Editor(old, LINES[version])
        assert editor.set(name, value) or not value
        assert not editor.set(name, value)
        path.write_bytes(editor.content)
        found = load(str(path), LINES[version])
        assert found[name].text == value
        assert found["x"].text == "12"
        editor.remove(name)
        assert editor.content == old


@pytest.mark.parametrize("version", ["10.10", "2021"])
@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1"])
def test_no_change_moves_what_others_are_read_as(tmp_path: Path, version: str, encoding: str) -> None:
    """The launcher guesses the encoding: 10.10 by chunks of 512 bytes, whose borders a change moves."""
    chance = random.Random(f"{version} {encoding}")
    path = tmp_path / "nuxeo.conf"
    for _number in range(25):
        # something that can be read in both encodings, and perhaps something that cannot
        parts = [*("a" * 12), "é€"] if encoding == "utf-8" else [*("a" * 12), "\u00c3\u00a9"]
        odd = "" if encoding == "utf-8" else "\u00e9" * chance.randint(0, 1)
        lines = [f"n{at}={''.join(chance.choices(parts, k=chance.randint(0, 90)))}\n" for at in range(20)]
        old = ("".join(lines) + f"odd={odd}\n" + BLOCK).encode(encoding)
        path.write_bytes(old)
        before = {name: value.text for name, value in load(str(path), LINES[version]).items()}
        editor = Editor(old, LINES[version])
        for _edit in range(4):
            name, value = chance.choice([f"n{chance.randint(0, 25)}", "odd", "b"]), "x" * chance.randint(1, 600)
            if chance.random() < 0.3:
                editor.remove(name)
                before.pop(name, None)
            else:
                editor.set(name, value)
                before[name] = value
            path.write_bytes(editor.content)
            assert {name: value.text for name, value in load(str(path), LINES[version]).items()} == before
        text = editor.content
        editor.set("new", "x" * chance.randint(1, 600))
        editor.set("new", "x" * chance.randint(1, 600))
        editor.remove("new")
        assert editor.content == text, "no comment is left where none is needed"


def test_the_guard_does_not_change_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nuxeo.conf"
    for length in range(512):
        content = f"a={'x' * length}{'é' * 20}\n".encode()
        path.write_bytes(content)
        wanted = load(str(path), LINES["10.10"])["a"].text
        path.write_bytes(guard.armed(content, "20261123T020004Z"))
        assert load(str(path), LINES["10.10"], guard.find(str(path)))["a"].text == wanted


def test_a_value_that_is_there_stays_as_it_is_written() -> None:
    text = "a=c\\u0061fé\nb : 1\n"
    editor = Editor(text.encode("iso-8859-1"), LINES["10.10"])
    assert not editor.set("b", "1")
    assert editor.content == text.encode("iso-8859-1")
    editor = Editor("a=café\n".encode(), LINES["2023"])
    assert not editor.set("a", "café")


@pytest.mark.parametrize(("name", "value"), [("", "1"), (" a", "1"), ("a", " 1"), ("a", "1\n"), ("a", "\u0001")])
def test_what_cannot_be_read_back_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfError):
        Editor(b"", LINES["2023"]).set(name, value)


def plan(path: Path, **options: object) -> Plan:
    given = {"home": None, "version": "2023", "properties": {}, "secret_properties": {}, "present": True, **options}
    return change(path=str(path), **given)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "nuxeo.conf"
    path.write_text(
        "# nuxeo.db.password=canary0\nnuxeo.db.password=canary1\na=1\nu=http://x:canary2@h\n", encoding="utf-8"
    )
    path.chmod(0o640)
    return path


def test_no_secret_in_the_diff(conf: Path) -> None:
    done = plan(conf, secret_properties={"nuxeo.db.password": "canary3", "my.token": "canary4"}, properties={"a": 2})
    assert done.properties_changed == ["a", "my.token", "nuxeo.db.password"]
    assert "canary" not in str(done.diff)
    assert "a=2" in done.diff["after"]
    assert f"\nnuxeo.db.password={MASK} (changed)\n" in done.diff["after"], "that it changes is shown"
    assert done.diff["before"] != done.diff["after"]
    done.write()
    assert "canary3" in conf.read_text(encoding="utf-8")
    assert conf.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("#nuxeo.db.password can=ary", "#nuxeo.db.password=*"),
        ("! nuxeo.jwt.secret\tcanary", "! nuxeo.jwt.secret=*"),
        ("## my.token : canary", "## my.token=*"),
        ("# the old password: canary", "# the old password=*"),
        ("# as nuxeo.db.password=canary b=2", "# as nuxeo.db.password=*"),
        ("# see http://u:canary@h/", "# see http://*@h/"),
        ("# a.b=1", "# a.b=1"),
        ("#nuxeo.db.password", "#nuxeo.db.password"),
        ("# no value: here", "# no value: here"),
    ],
)
def test_no_secret_that_is_commented_out_in_the_diff(conf: Path, line: str, shown: str) -> None:
    conf.write_text(f"{line}\na=1\n", encoding="utf-8")
    diff = plan(conf, properties={"a": 2}).diff
    assert [diff[key].splitlines()[0] for key in ("before", "after")] == [shown.replace("*", MASK)] * 2


def test_a_secret_among_the_open_properties_is_refused(conf: Path) -> None:
    with pytest.raises(ConfError, match="secret_properties"):
        plan(conf, properties={"nuxeo.db.password": "x"})
    plan(conf, properties={"nuxeo.db.password": None}, present=False).write()
    assert "canary1" not in conf.read_text(encoding="utf-8")


def test_values_that_are_no_text(conf: Path) -> None:
    done = plan(conf, properties={"a": True, "b": False, "c": 5432, "d": 1.5}, secret_properties={"d": "wins"})
    assert done.diff["after"].splitlines()[-4:] == ["u=http://********@h", "b=false", "c=5432", "d=wins"]
    assert "\na=true\n" in done.diff["after"]
    for value in (None, ["x"], {"x": 1}):
        with pytest.raises(ConfError, match="Setting of property 'a': its value is no text and no number. Quote it"):
            plan(conf, properties={"a": value})


def test_a_version_that_is_not_known(conf: Path) -> None:
    """Nobody knows how Nuxeo reads the bytes that are there, so the value is written as every version reads it."""
    conf.write_bytes("a=\u00e9\nb=\u00e9\n".encode())
    assert not plan(conf, properties={"a": "\u00e9"}).changed
    done = plan(conf, properties={"a": "\u00e9"}, version=None)
    assert done.new == b"a=\\u00e9\nb=\xc3\xa9\n"


def test_a_file_that_nuxeo_refuses_is_not_changed(conf: Path) -> None:
    conf.write_text("a=1\nhome=C:\\users\n", encoding="utf-8")
    with pytest.raises(ConfError, match=rf"property 'home' at {conf}:2: it has a malformed unicode escape"):
        plan(conf, properties={"a": "2"})


def test_the_turn_of_a_file_is_one_by_whatever_name(conf: Path, tmp_path: Path) -> None:
    link = tmp_path / "etc/nuxeo.conf"
    link.parent.mkdir()
    link.symlink_to(conf)
    with alone(str(link)), pytest.raises(ConfError, match="another process has"), alone(str(conf), 0):
        pass


def test_a_lock_that_was_removed_meanwhile_is_none(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who had it has ended between our look at the file and our lock of it: a third one would make it anew."""
    lock, real = conf.with_name(".nuxeo.conf.lock"), write.fcntl.flock

    def late(descriptor: int, action: int) -> None:
        monkeypatch.undo()
        lock.unlink()
        real(descriptor, action)

    monkeypatch.setattr(write.fcntl, "flock", late)
    with alone(str(conf)):
        assert lock.exists()
        with pytest.raises(ConfError, match="another process has"), alone(str(conf), 0):
            pass


def test_a_change_in_between_is_not_lost(conf: Path) -> None:
    done = plan(conf, properties={"a": "2"})
    conf.write_text("b=1\n", encoding="utf-8")
    with pytest.raises(ConfError, match="meanwhile"):
        done.write()
    assert conf.read_text(encoding="utf-8") == "b=1\n"


def test_a_link_stays_a_link(conf: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.conf"
    link.symlink_to(conf)
    plan(link, properties={"a": "2"}).write()
    assert link.is_symlink()
    assert "a=2" in conf.read_text(encoding="utf-8")


def test_the_owner_stays(conf: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root has files of others")
    os.chown(conf, 12345, 23456)
    replace_file(str(conf), b"x=1\n")
    found = conf.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 23456, 0o640)


def test_access_lists_and_labels_stay_and_the_new_name_is_durable(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    had = {"system.posix_acl_access": b"acl", "security.selinux": b"label"}
    kept: dict[str, bytes] = {}
    durable: list[tuple[str, bytes]] = []

    def keep(descriptor: int, name: str, value: bytes) -> None:
        if name == "security.selinux":
            raise OSError(95, "Operation not supported")
        assert os.fstat(descriptor).st_mode & 0o777 == 0o640, "a list of accesses has its own mask"
        kept[name] = value

    monkeypatch.setattr(os, "listxattr", lambda _path: list(reversed(had)))
    monkeypatch.setattr(os, "getxattr", lambda _path, name: had[name])
    monkeypatch.setattr(os, "setxattr", keep)
    monkeypatch.setattr(write, "fsync_directory", lambda folder: durable.append((folder, conf.read_bytes())))
    replace_file(str(conf), b"x=1\n")
    assert kept == {"system.posix_acl_access": b"acl"}
    assert durable == [(str(conf.parent), b"x=1\n")]


def test_a_failed_write_leaves_the_file(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = conf.read_bytes()

    def fail(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfError, match="No space left"):
        replace_file(str(conf), b"x=1\n")
    assert conf.read_bytes() == before
    assert [path.name for path in conf.parent.iterdir()] == ["nuxeo.conf"]


@pytest.mark.parametrize("text", ["a=1\n", "a=1\r\nb=2\r\n", "", "\ufeffa=1\n"])
def test_guard(tmp_path: Path, text: str) -> None:
    path = tmp_path / "nuxeo.conf"
    path.write_bytes(text.encode())
    assert not guard.is_armed(str(path))
    path.write_bytes(guard.armed(path.read_bytes(), "20261123T020004Z"))
    assert guard.is_armed(str(path))
    assert guard.armed(path.read_bytes(), "20261123T020004Z") == path.read_bytes()
    for line in LINES.values():
        with pytest.raises(ConfError, match="a restore onto this instance has begun"):
            load(str(path), line)
        assert load(str(path), line, guard.find(str(path))).keys() == load_text(tmp_path, text, line.name)
    other = guard.armed(path.read_bytes(), "20261124T020004Z")
    assert b"20261123" not in other
    assert (b"\n" in other.replace(b"\r\n", b"")) == ("\r\n" not in text), "its line ends are those of the file"
    assert guard.disarmed(other) == text.encode()


def load_text(folder: Path, text: str, version: str) -> set[str]:
    path = folder / "other.conf"
    path.write_bytes(text.encode())
    return set(load(str(path), LINES[version]))


def test_the_guard_stays_while_properties_are_set(conf: Path) -> None:
    conf.write_bytes(guard.armed(conf.read_bytes(), "20261123T020004Z"))
    done = plan(conf, properties={"a": "2"})
    assert not done.guard_changed
    done.write()
    assert guard.is_armed(str(conf))
    for set_id, another in (("20261123T020004Z", False), ("20261124T020004Z", True)):
        done = plan(conf, restore_guard="armed", restore_set=set_id)
        assert (done.guard_changed, done.guard_replaced) == (another, another)
    done = plan(conf, restore_guard="absent")
    assert not done.guard_replaced
    assert done.guard_changed and done.changed
    done.write()
    assert "a=2" in conf.read_text(encoding="utf-8")
    assert not plan(conf, restore_guard="absent").changed


def test_the_id_of_a_set_cannot_break_out(conf: Path) -> None:
    with pytest.raises(ConfError, match="no id"):
        guard.armed(conf.read_bytes(), "x\nnuxeo.db.host=evil")


def test_whose_restore_it_is_cannot_break_out_either() -> None:
    content = guard.armed(b"a=1\n", "20261123T020004Z", "\u00fc\u20ac@h\nnuxeo.db.host=evil\\")
    assert b"\n# Begun by ??@h?nuxeo.db.host=evil?\n" in content
    assert guard.disarmed(content) == b"a=1\n"
