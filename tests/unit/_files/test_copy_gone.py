# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes while it is copied: of the source that is no error, of the copy it is one."""

from __future__ import annotations

import errno
import pathlib
import shutil

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


def test_no_link_is_read_through(tmp_path: pathlib.Path) -> None:
    """A name may become one between the look at it and its opening."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    for flags in (at.READ, at.FOLDER_FLAGS):
        with pytest.raises(OSError) as error, at.opened(str(tmp_path / "link"), flags):
            pass
        assert error.value.errno in (errno.ELOOP, errno.ENOTDIR)
