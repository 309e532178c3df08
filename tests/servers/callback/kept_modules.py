# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback that lets a run of ansible-playbook take the modules that an earlier run has packed.

Ansible packs each module with all that it imports once in a run, which takes 0.3 to 0.9 s of the processor. It keeps
the packed modules in a folder of the run; here they are copied into it at the start, and from it at the end. Whoever
names the folder sees to it that it is another one when a source is: see ``packed_modules`` in playbook.py.
"""

from __future__ import annotations

import os
import shutil
import typing as t
from pathlib import Path

from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: kept_modules
type: aggregate
short_description: Keeps packed modules in the folder that the environment variable NUXEO_TEST_PACKED_MODULES names
description:
  - For the tests of this collection.
"""

_KEPT = ("ansible.modules.", "ansible_collections.community.", "ansible_collections.nuxeo.platform.")
_FRESH = ".fresh"


def _copy_all(source: Path, target: Path) -> None:
    """Copy what is whole: Ansible, too, gives a file its name when all of it is written."""
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir() if source.is_dir() else ():
        whole = path.name.startswith(_KEPT) and not path.name.endswith(("-part", ".lock", _FRESH))
        if whole and not (target / path.name).exists():
            fresh = target / f"{path.name}.{os.getpid()}{_FRESH}"
            shutil.copyfile(path, fresh)
            fresh.replace(target / path.name)


class CallbackModule(CallbackBase):
    """Copies at the start and at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept_modules"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.kept = Path(os.environ["NUXEO_TEST_PACKED_MODULES"])
        self.own = Path(constants.DEFAULT_LOCAL_TMP) / "ansiballz_cache"

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        _copy_all(self.kept, self.own)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        _copy_all(self.own, self.kept)
