# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The marker of a restored data folder: nothing is deleted, unfinished work is known as such."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import typing as t
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import marker, mounts
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import check_place
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.folders import (
    access_problems,
    away_problems,
    conf_problems,
    mount_problems,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place, SetError
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.plan import kept_in_place

WHO = {"set": "20261123T020004Z", "instance": "acme", "run": "r1"}


def test_what_was_there_is_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "h2").mkdir()
    (tmp_path / "h2" / "nuxeo.mv.db").write_bytes(b"old")
    written = marker.begin(str(tmp_path), WHO, [])
    assert (Path(written["kept_aside"]) / "h2" / "nuxeo.mv.db").read_bytes() == b"old"
    assert not (tmp_path / "h2").exists()
    assert written["status"] == "begun"


def test_a_digest_store_stays_and_its_layout_is_kept(tmp_path: Path) -> None:
    store = tmp_path / "binaries"
    (store / "data").mkdir(parents=True)
    (store / "config.xml").write_text("<binary-store/>")
    (tmp_path / "instance.clid").write_text("clid")
    written = marker.begin(str(tmp_path), WHO, [str(store)])
    assert (store / "config.xml").exists()
    assert (Path(written["kept_aside"]) / "binaries_config.xml").read_text() == "<binary-store/>"
    assert (Path(written["kept_aside"]) / "instance.clid").exists()


def test_the_layout_of_a_store_elsewhere_is_kept_too(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "config.xml").write_text("<binary-store/>")
    aside = marker.begin(str(tmp_path / "data"), WHO, [str(tmp_path / "blobs")])["kept_aside"]
    assert [path.read_text() for path in Path(aside).iterdir()] == ["<binary-store/>"]


def test_a_link_to_a_store_stays_however_its_place_is_written(tmp_path: Path) -> None:
    data, alias = tmp_path / "srv" / "data", tmp_path / "data"
    data.mkdir(parents=True)
    alias.symlink_to(data)
    (tmp_path / "store" / "data").mkdir(parents=True)
    (data / "binaries").symlink_to(tmp_path / "store")
    for folder, store in ((data, alias), (alias, data), (alias, alias), (data, data)):
        (data / "clid").touch()
        marker.begin(str(folder), WHO, [str(store / "binaries")])
        assert (data / "binaries").is_symlink() and not (data / "clid").exists(), (folder, store)


def test_what_lies_beside_a_store_that_stays_is_moved(tmp_path: Path) -> None:
    """Records are in a folder with a digest store: they would be overwritten under their keys."""
    for store in ("binaries", "records"):
        (tmp_path / "blobs" / store / "data").mkdir(parents=True)
        (tmp_path / "blobs" / store / "data" / "one").write_text(store)
    aside = Path(marker.begin(str(tmp_path), WHO, [str(tmp_path / "blobs" / "binaries")])["kept_aside"])
    assert (tmp_path / "blobs" / "binaries" / "data" / "one").exists()
    assert not (tmp_path / "blobs" / "records").exists()
    assert (aside / "blobs" / "records" / "data" / "one").read_text() == "records"


@pytest.mark.parametrize("moving", ["elsewhere", "data/.nuxeo-platform-before-x", "data/.."])
def test_a_marker_says_of_no_other_place_that_things_go_there(tmp_path: Path, moving: str) -> None:
    """Nuxeo's user may write one, and make links, and the restore may be root's."""
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    for folder in (data, elsewhere):
        folder.mkdir()
    (data / ".nuxeo-platform-before-x").symlink_to(elsewhere)
    (data / "profile.sh").touch()
    earlier = {**WHO, "status": "begun", "kept_aside": None, "database": None, "moving": str(tmp_path / moving)}
    marker.write_marker(str(data), earlier)
    with contextlib.suppress(marker.RestoreError):
        marker.begin(str(data), WHO, [])
    assert not list(elsewhere.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "elsewhere"]


def test_mounts_beside_a_store_that_stays(tmp_path: Path, mounted: t.Callable[..., Path]) -> None:
    """One that is moved aside with the folder that it is in is a problem; one that is beside the store is emptied."""
    data = tmp_path / "data"
    records = data / "blobs" / "records"
    records.mkdir(parents=True)
    subprocess.run(["mount", "--bind", str(mounted("-t", "tmpfs", "t")), str(records)], check=True)
    try:
        (records / "one").touch()
        keep = [str(data / "blobs" / "binaries")]
        assert mount_problems(str(data), keep) == []
        assert len(mount_problems(str(data), [str(data / "elsewhere")])) == 1
        aside = Path(marker.begin(str(data), WHO, keep)["kept_aside"])
        assert [path.name for path in records.iterdir()] == [aside.name]
        assert (records / aside.name / "one").exists()
    finally:
        subprocess.run(["umount", "-l", str(records)], check=True)


def test_a_link_to_a_store_elsewhere_stays(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "binaries").symlink_to(tmp_path / "big")
    (tmp_path / "data" / "stream").symlink_to(tmp_path / "big")
    marker.begin(str(tmp_path / "data"), WHO, [str(tmp_path / "data" / "binaries")])
    assert (tmp_path / "data" / "binaries").is_symlink() and not (tmp_path / "data" / "stream").exists()


def test_what_a_mounted_folder_holds_is_kept_in_it(tmp_path: Path, mounted: t.Callable[..., Path]) -> None:
    mount = mounted("-t", "tmpfs", "t")
    (mount / "P-00").mkdir()
    (tmp_path / "clid").touch()
    aside = Path(marker.begin(str(tmp_path), WHO, [])["kept_aside"])
    assert [path.name for path in aside.iterdir()] == ["clid"]
    assert [path.name for path in (mount / aside.name).iterdir()] == ["P-00"]
    assert mount_problems(str(tmp_path), []) == []


def test_a_mount_that_would_go_along_is_a_problem_first(tmp_path: Path, mounted: t.Callable[..., Path]) -> None:
    outer = mounted("-t", "tmpfs", "t")
    (problem,) = mount_problems(str(outer.parent.parent), [])
    assert f"'{outer}' is mounted in it" in problem
    assert mount_problems(str(outer.parent.parent), [str(outer)]) == []
    (tmp_path / "clid").touch()
    subprocess.run(["mount", "--bind", str(tmp_path / "clid"), str(tmp_path / "clid")], check=True)
    try:
        (problem,) = mount_problems(str(tmp_path), [])
        assert ["mounted by itself" in each for each in conf_problems(str(tmp_path / "clid"))] == [True]
        with pytest.raises(marker.RestoreError, match=r"Device or resource busy at '.*/clid'\. Mend that"):
            marker.begin(str(tmp_path), WHO, [])
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "clid")], check=True)
    assert conf_problems(str(tmp_path / "clid")) == []
    assert marker.begin(str(tmp_path), WHO, [])["status"] == "begun"


def test_a_volume_of_fstab_that_is_not_mounted_is_told(
    tmp_path: Path, mounted: t.Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written to the folder below it is hidden when it is mounted again."""
    there, away = mounted("-t", "tmpfs", "t"), tmp_path / "a volume"
    for folder in (there / "in", away / "in"):
        folder.mkdir(parents=True)
    table, escaped = tmp_path / "fstab", str(away).replace(" ", r"\040")
    monkeypatch.setattr(mounts, "FSTAB", str(table))
    for lines, points in (
        (f"LABEL=a {there} ext4 defaults 0 2\n", []),
        (f"# {away}\nUUID=1 none swap sw 0 0\nnas:/x {escaped} nfs defaults", [away]),
    ):
        table.write_text(lines)
        told = [f"nothing is mounted on '{point}', where /etc/fstab has a volume" for point in points]
        for folder in (there / "in", tmp_path):
            assert mounts.unmounted(str(folder)) == []
        facts = {"data_dir": str(away / "in"), "blobs": [{"provider": "default", "path": str(there / "in")}]}
        further = [{"provider": "more", "path": str(away / "in" / "it")}, {"provider": "far", "path": None}]
        problems = away_problems(facts, further)
        assert [problem.split(": ")[1].split(". ")[0] for problem in problems] == 2 * told
        assert [problem.split(": ")[0] for problem in problems] == [
            f"Restore into data folder '{away}/in'",
            f"Restore of the blobs to '{away}/in/it'",
        ][: 2 * len(told)]
        if told:
            with pytest.raises(SetError, match=told[0]):
                check_place(Place(str(away / "in"), "acme"), [], 0, False)
        else:
            assert check_place(Place(str(away / "in"), "acme"), [], 0, False) > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_store_that_cannot_be_written_to_is_told_before(tmp_path: Path) -> None:
    (tmp_path / "binaries" / "data").mkdir(parents=True, mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "unmounted")
    stores = [str(tmp_path / name) for name in ("binaries", "not/there/yet")]
    assert access_problems(stores) == []
    (problem,) = access_problems([*stores, str(tmp_path / "link")])
    assert problem.endswith(f"'{tmp_path}/link' leads to no folder. Is its volume mounted?")
    os.seteuid(65534)
    try:
        assert ["user 65534 may not write to" in problem for problem in access_problems(stores)] == [True, True]
    finally:
        os.seteuid(0)


def test_an_interrupted_move_goes_on_into_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcd":
        (tmp_path / name).write_text(name)
    real = os.rename

    def rename(one: str, other: str) -> None:
        if len(list(tmp_path.glob("?"))) == 2:
            raise KeyboardInterrupt
        real(one, other)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(marker.os, "rename", rename)
        marker.begin(str(tmp_path), WHO, [])
    aside = Path(marker.begin(str(tmp_path), WHO, [])["kept_aside"])
    assert sorted(path.name for path in aside.iterdir()) == list("abcd")
    (tmp_path / "half").touch()
    marker.begin(str(tmp_path), WHO, [])
    assert sorted(path.name for path in aside.iterdir()) == list("abcd"), "what the restore made is not mixed with it"


def test_what_is_kept_aside_is_on_the_disk_before_the_restore_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From then on other things get the names that it had."""
    store = tmp_path / "blobs" / "x" / "binaries"
    for folder in (store, tmp_path / "blobs" / "x" / "records"):
        folder.mkdir(parents=True)
    (store / "config.xml").write_text("<binary-store/>")
    synced: list[str] = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))

    def note_replace(one: str, other: str) -> None:
        replace(one, other)
        synced.append(other)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    aside = Path(str(marker.begin(str(tmp_path), WHO, [str(store)])["kept_aside"]))
    assert (aside / "blobs" / "x" / "records").is_dir()
    named = len(synced) - synced[::-1].index(str(tmp_path / marker.MARKER)) - 1
    parts = ("", "blobs", "blobs/x")
    wanted = {str(folder / part) for folder in (tmp_path, aside) for part in parts}
    before = synced[synced.index(str(tmp_path / marker.MARKER)) + 2 : named]  # the first has said that it is moved
    assert wanted - set(before) == set()
    assert before.index(str(aside / "blobs_x_binaries_config.xml")) < len(before) - before[::-1].index(str(aside)) - 1


def test_an_absent_folder_is_made_and_nothing_is_kept(tmp_path: Path) -> None:
    written = marker.begin(str(tmp_path / "a" / "data"), WHO, [])
    assert written["kept_aside"] is None
    assert marker.read_marker(str(tmp_path / "a" / "data")) is not None
    assert (tmp_path / "a" / "data" / marker.MARKER).stat().st_mode & 0o7777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="gives folders to others")
def test_a_folder_that_is_made_is_of_whose_it_is_to_be(tmp_path: Path) -> None:
    """On a node of which the set has nothing no file of it corrects that."""
    data, nobody = tmp_path / "a" / "data", {"owner": "65534", "group": "12345", "mode": "0751"}
    (tmp_path / "a" / f"{marker.FRESH}data").mkdir(parents=True)  # of a run that was killed just then
    marker.begin(str(data), WHO, [], folder=nobody)
    info = data.stat()
    assert (info.st_uid, info.st_gid, info.st_mode & 0o7777) == (65534, 12345, 0o751)
    assert [path.name for path in data.parent.iterdir()] == ["data"]
    marker.begin(str(data), WHO, [], folder={"owner": "0", "group": "0", "mode": "0700"})
    assert data.stat().st_uid == 65534, "one that is there stays as it is"
    marker.begin(str(tmp_path / "own"), WHO, [], folder={"owner": None, "group": None, "mode": "0750"})
    assert (tmp_path / "own").stat().st_uid == os.geteuid()
    with pytest.raises(marker.RestoreError, match="no user 'no-such-user' on this host.*restore_owner"):
        marker.begin(str(tmp_path / "x"), WHO, [], folder={**nobody, "owner": "no-such-user"})
    assert not (tmp_path / "x").exists()


def test_a_second_begin_of_unfinished_work_remembers_the_first(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("1")
    first = marker.begin(str(tmp_path), WHO, [])
    (tmp_path / "half").write_text("2")
    second = marker.begin(str(tmp_path), WHO, [])
    assert second["kept_aside"] == first["kept_aside"]
    assert (Path(first["kept_aside"]) / "precious").exists()
    marker.note_filled(str(tmp_path), WHO["run"], {"fingerprint": {"oid": 1}, "kept_aside": "", "messages": []})
    (tmp_path / "since").write_text("somebody has let the server be started")
    third = marker.begin(str(tmp_path), WHO, [], resumes=False)
    assert third["kept_aside"] != first["kept_aside"] and (Path(third["kept_aside"]) / "since").exists()
    assert third["database"] is None


@pytest.mark.parametrize("other", [{}, {"set": "20200101T000000Z"}, {"run": "another"}])
def test_a_run_that_goes_on_knows_the_database_that_was_filled(tmp_path: Path, other: dict[str, str]) -> None:
    marker.begin(str(tmp_path), WHO, [])
    restored = {"fingerprint": {"oid": 1}, "kept_aside": "", "messages": [], "duration": 1.0}
    marker.note_filled(str(tmp_path), "another", {**restored, "fingerprint": {"oid": 2}})
    assert marker.read_marker(str(tmp_path))["database"] is None
    marker.note_filled(str(tmp_path), WHO["run"], restored)
    again = marker.begin(str(tmp_path), {**WHO, **other}, [])
    wanted = (None, None) if other else ({"oid": 1}, {"messages": []})
    assert (again["status"], again["database"], again["filled"]) == ("begun", *wanted)


def test_every_database_that_unfinished_restores_have_kept_aside_is_known(tmp_path: Path) -> None:
    """The first is that of before; the next one's is half restored."""
    restored = {"fingerprint": {"oid": 1}, "messages": []}
    for run, name in (("r1", "before"), ("r1", "before"), ("r2", "half"), ("r3", "")):
        marker.begin(str(tmp_path), {**WHO, "run": run}, [])
        marker.note_filled(str(tmp_path), run, {**restored, "kept_aside": name})
    assert marker.begin(str(tmp_path), WHO, [])["kept_databases"] == ["before", "half"]
    assert marker.begin(str(tmp_path), WHO, [], resumes=False)["kept_databases"] == []


def test_after_a_finished_restore_a_new_one_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("1")
    first = marker.begin(str(tmp_path), WHO, [])["kept_aside"]
    marker.note(str(tmp_path), {"status": "finished", "database": {"oid": 1}})
    (tmp_path / "later").write_text("1")
    again = marker.begin(str(tmp_path), WHO, [])
    assert again["status"] == "begun"
    assert again["database"] is None
    assert again["kept_aside"] != first
    assert (Path(again["kept_aside"]) / "later").exists()


def test_a_marker_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / marker.MARKER).write_text("{")
    with pytest.raises(marker.RestoreError, match="restore marker"):
        marker.read_marker(str(tmp_path))
    (tmp_path / marker.MARKER).write_text("{}")
    with pytest.raises(marker.RestoreError, match="missing"):
        marker.read_marker(str(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_marker_of_another_user_is_not_to_be_removed() -> None:
    """Nuxeo's own user could, and with it would go where streams are and that the database is untouched."""
    with tempfile.TemporaryDirectory() as folder:  # which others may pass through
        marker.begin(folder, WHO, [])
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        try:
            with pytest.raises(marker.RestoreError) as refused:
                marker.read_marker(folder)
        finally:
            os.seteuid(0)
    assert "Permission denied. Run as root, or as the user of whom it is" in str(refused.value)
    assert "remove" not in str(refused.value)


def test_a_note_needs_a_marker(tmp_path: Path) -> None:
    with pytest.raises(marker.RestoreError, match="gone"):
        marker.note(str(tmp_path), {})


def test_a_conf_in_a_folder_that_nobody_may_write_to_is_a_problem(mounted: t.Callable[..., Path]) -> None:
    folder = mounted("-t", "tmpfs", "t")
    (folder / "nuxeo.conf").touch()
    (folder / "link").symlink_to("nuxeo.conf")
    assert conf_problems(str(folder / "link")) == []
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    (problem,) = conf_problems(str(folder / "link"))
    assert "may not write to its folder" in problem


def test_records_elsewhere_are_kept_aside_in_their_store(tmp_path: Path) -> None:
    """Other bytes under the same key would be put over them."""
    store = tmp_path / "records"
    (store / "data").mkdir(parents=True)
    (store / "data" / "doc-1").write_text("newest")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "records").symlink_to(store)
    path = str(tmp_path / "data" / "records")
    first = marker.begin(str(tmp_path / "data"), WHO, [path], [path])
    aside = store / os.path.basename(first["kept_aside"])
    assert (aside / "data" / "doc-1").read_text() == "newest"
    assert sorted(each.name for each in store.iterdir()) == [aside.name]
    assert (tmp_path / "data" / "records").is_symlink()
    assert marker.begin(str(tmp_path / "data"), WHO, [path], [path])["kept_aside"] == first["kept_aside"]


def test_a_store_whose_root_is_the_data_folder_is_moved_aside_with_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "config.xml").write_text("<binary-store/>")
    stores = [{"path": f"{tmp_path}/", "kind": "digest"}]
    aside = Path(marker.begin(str(tmp_path), WHO, kept_in_place(stores, str(tmp_path)))["kept_aside"])
    assert sorted(path.name for path in aside.iterdir()) == ["config.xml", "data"]
