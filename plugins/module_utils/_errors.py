# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: one error type, told to the user once.

A message reads ``<what failed> <on what>: <why>. <what to do>``.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule


def shown(text: str) -> str:
    """A text that may hold names of files, which may be of any bytes: Ansible takes no result that is not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


class PlatformError(Exception):
    """Raised in module_utils; each store has a subclass of its own.

    :param what: what failed and on what, e.g. ``Dump of database 'nuxeo' on db1:5432``
    :param why: the reason, without a final stop
    :param todo: what the operator can do about it, a sentence without a final stop
    :param result: values for the module's result beside ``msg``; never a secret
    """

    def __init__(self, what: str, why: str, todo: str = "", result: dict[str, t.Any] | None = None) -> None:
        self.what = what
        self.why = why
        self.todo = todo
        self.result = result or {}
        super().__init__(shown(f"{what}: {why.rstrip('.')}." + (f" {todo.rstrip('.')}." if todo else "")))


@contextlib.contextmanager
def fail_json_on_error(module: AnsibleModule) -> t.Iterator[None]:
    """Turn an error into ``fail_json``: the only place where this is done."""
    try:
        yield
    except PlatformError as error:
        module.fail_json(msg=str(error), **error.result)
    except OSError as error:  # of no store's own part, e.g. of a full temporary folder
        place = f" at '{os.fsdecode(error.filename)}'" if isinstance(error.filename, (str, bytes)) else ""
        known = PlatformError(f"Work on this node{place}", str(error.strerror or error), "Mend that, then run again")
        module.fail_json(msg=str(known))


def fail_json_on_problems(module: AnsibleModule, what: str, problems: list[str]) -> None:
    """Tell every problem that stands in the way of a run at once, before its first change."""
    if problems:
        lines = "\n".join(f"- {problem}" for problem in problems)
        module.fail_json(
            msg=f"{what}: {len(problems)} problem{'s' if len(problems) > 1 else ''}, nothing was changed:\n{lines}",
            problems=problems,
        )
