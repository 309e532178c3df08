# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose files become that are put back by who is not root."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import tempfile

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.folders import owner_problems
from ansible_collections.nuxeo.platform.plugins.module_utils._files import at, tree


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize(
    ("owner", "group", "told"),
    [
        ("nobody", None, []),
        (None, "nogroup", []),
        ("nobody", "games", []),
        (None, None, []),
        ("daemon", None, ["user 'daemon'"]),
        (None, "daemon", ["group 'daemon'"]),
        ("root", "root", ["user 'root'", "group 'root'"]),
    ],
)
def test_who_is_not_root_gives_files_to_itself_and_its_groups(
    owner: str | None, group: str | None, told: list[str]
) -> None:
    """What is not named stays as it is; the rest is told before the first file, and before the database is replaced."""
    with tempfile.TemporaryDirectory() as name:  # which others may pass through
        folder, groups = pathlib.Path(name), os.getgroups()
        (folder / "src").mkdir()
        (folder / "src/file").write_text("1")
        (folder / "files").mkdir()
        copied = tree.copy_tree(str(folder / "src"), str(folder / "copy"))
        tree.write_tree_list(str(folder / "files/tree.jsonl"), copied.entries)
        subprocess.run(["chown", "-R", "nobody:nogroup", name], check=True)
        os.setgroups([at.group_id("games")])
        os.setegid(at.group_id("nogroup"))
        os.seteuid(at.user_id("nobody"))
        try:
            problems = owner_problems(name, "", [{"name": "tree"}], owner, group)
            with pytest.raises(tree.FilesError, match="Run as root") if told else contextlib.nullcontext():
                listed, copy = str(folder / "files/tree.jsonl"), str(folder / "copy")
                result = tree.restore_tree(listed, copy, str(folder / "back"), owner, group)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
        assert [
            problem.partition("files to ")[2].partition(". Run as root, or name others")[0] for problem in problems
        ] == told
        if not told:
            info = (folder / "back/file").stat()
            assert (info.st_uid, info.st_gid) == (at.user_id("nobody"), at.group_id(group or "nogroup"))
            assert result.unowned == (0 if owner and group else 2)
