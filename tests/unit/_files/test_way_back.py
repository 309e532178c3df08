# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: bytes are on the disk before their name, names at the end; what is no file makes room for one."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._files import place as files
from ansible_collections.nuxeo.platform.plugins.module_utils._files import tree
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress

Calls = t.List[t.Tuple[str, str]]


@pytest.fixture
def copy(tmp_path: pathlib.Path) -> pathlib.Path:
    """A copied tree, with its list beside it."""
    for name in ("data/a", "data/below/b", "data/below/more/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    result = tree.copy_tree(str(tmp_path / "data"), str(tmp_path / "copy"))
    tree.write_tree_list(str(tmp_path / "tree.jsonl"), result.entries)
    return tmp_path / "copy"


@pytest.fixture
def calls(copy: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What is done to the disk from now on, in order."""
    done: Calls = []
    fsync, rename = os.fsync, os.rename

    def note_fsync(descriptor: int) -> None:
        fsync(descriptor)
        done.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))

    def note_rename(one: str, other: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        above = os.readlink(f"/proc/self/fd/{dst_dir_fd}") if dst_dir_fd is not None else ""
        rename(one, other, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        done.append(("rename", os.path.join(above, other)))

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    return done


def test_a_tree_that_is_put_back(copy: pathlib.Path, calls: Calls, tmp_path: pathlib.Path) -> None:
    back = tmp_path / "back"
    tree.restore_tree(str(tmp_path / "tree.jsonl"), str(copy), str(back))
    named = [number for number, (what, _path) in enumerate(calls) if what == "rename"]
    assert [calls[number][1] for number in named] == [str(back / name) for name in ("a", "below/b", "below/more/c")]
    for number in named:
        what, synced = calls[number - 1]
        assert (what, os.path.dirname(synced)) == ("sync", os.path.dirname(calls[number][1])), "its bytes come first"
        assert os.path.basename(synced).startswith(".nuxeo-platform-restore")
    folders = [("sync", str(folder)) for folder in (back / "below" / "more", back / "below", back)]
    assert calls[named[-1] + 1 :] == folders, "and the names of all"


@pytest.mark.parametrize("movable", [True, False])
def test_what_was_there_is_kept_before_anything_takes_its_place(
    copy: pathlib.Path, calls: Calls, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, movable: bool
) -> None:
    back = tmp_path / "back"
    back.mkdir()
    (back / "old").write_text("old")
    if not movable:
        noted = os.rename

        def refuse(one: str, other: str, **more: t.Any) -> None:
            if one == str(back):
                raise OSError(16, "Device or resource busy")
            noted(one, other, **more)

        monkeypatch.setattr(os, "rename", refuse)
    options: dict[str, t.Any] = {"src": str(copy), "dest": str(back), "state": "restored", "tree_list": None}
    options.update(existing="aside", owner=None, group=None, keep=[])
    kept = files.restored(options, Progress(None, "files"), False)["kept_aside"]
    before = calls[: next(number for number, call in enumerate(calls) if call == ("rename", str(back / "a")))]
    moved = before.index(("rename", kept if movable else os.path.join(kept, "old")))
    wanted = [str(tmp_path)] if movable else [kept, str(back)]
    assert [path for what, path in before[moved:] if what == "sync"][: len(wanted)] == wanted


def test_a_link_in_the_place_of_a_file_makes_room_for_it(copy: pathlib.Path, tmp_path: pathlib.Path) -> None:
    back, other = tmp_path / "back", tmp_path / "oth"
    back.mkdir()
    other.write_text("theirs")
    (back / "a").symlink_to("../oth")  # which is as long as the file
    result = tree.restore_tree(str(tmp_path / "tree.jsonl"), str(copy), str(back))
    assert (back / "a").read_text() == "data/a" and not (back / "a").is_symlink()
    assert result.files == 3 and other.read_text() == "theirs"
