# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes while it is copied: of the source that is no error, of the copy it is one."""

from __future__ import annotations

import errno
import os
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._files import at, tree
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress


class Meanwhile(Progress):
    """Removes something after the first bytes."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(None, "files")
        self.gone = path

    def check(self, look: bool = False) -> None:
        if self.gone.is_dir():
            shutil.rmtree(self.gone)
        else:
            self.gone.unlink(missing_ok=True)


@pytest.mark.parametrize("what", ["data/b", "copy"])
def test_only_what_is_gone_from_the_source_is_left_out(tmp_path: pathlib.Path, what: str) -> None:
    (tmp_path / "data").mkdir()
    for name in "abc":
        (tmp_path / "data" / name).write_text(name)
    copy = str(tmp_path / "data"), str(tmp_path / "copy"), (), Meanwhile(tmp_path / what)
    if what == "data/b":
        result = tree.copy_tree(*copy)
        assert (result.files, result.vanished) == (2, 1)
        return
    with pytest.raises(tree.FilesError, match="No such file or directory"):
        tree.copy_tree(*copy)


def test_what_vanishes_is_counted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data/z").mkdir(parents=True)
    for name in "abc":
        (tmp_path / "data" / name).write_text(name)
    real = os.listdir

    def listed(folder: int) -> list[str]:
        return [*real(folder), *(["gone"] if "b" in real(folder) else [])]

    monkeypatch.setattr(tree.os, "listdir", listed)
    result = tree.copy_tree(str(tmp_path / "data"), str(tmp_path / "copy"))
    assert (result.vanished, result.files) == (1, 3)


@pytest.mark.parametrize("then", [errno.EIO, errno.ESTALE])
def test_what_cannot_be_looked_at_has_not_vanished(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, then: int
) -> None:
    """A volume that breaks while it is read says of a file that it is stale, then nothing at all, or the same again."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").write_text("a")
    real, asked = os.stat, []

    def broken(path: t.Any, **more: t.Any) -> os.stat_result:
        if path != "a":
            return real(path, **more)
        asked.append(path)
        code = then if asked[1:] else errno.ESTALE
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "stat", broken)
    with pytest.raises(tree.FilesError, match=r"^Copy of '.*': Stale file handle \(at '.*/data/a'\)\.$"):
        tree.copy_tree(str(tmp_path / "data"), str(tmp_path / "copy"))
    assert asked[1:]


def test_no_link_is_read_through(tmp_path: pathlib.Path) -> None:
    """A name may become one between the look at it and its opening."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    for flags in (at.READ, at.FOLDER_FLAGS):
        with pytest.raises(OSError) as error, at.opened(str(tmp_path / "link"), flags):
            pass
        assert error.value.errno in (errno.ELOOP, errno.ENOTDIR)
