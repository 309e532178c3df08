# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback that writes down what each task returned, one JSON line each, so that tests can look at it."""

from __future__ import annotations

import json
import os
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: recorder
type: notification
short_description: Writes task results as JSON lines to the file that the environment variable RECORDER_FILE names
description:
  - For the tests of this collection.
"""


class CallbackModule(CallbackBase):
    """Notes results, and the recap at the end."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "recorder"
    CALLBACK_NEEDS_ENABLED = True

    def _write(self, **line: t.Any) -> None:
        with open(os.environ["RECORDER_FILE"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")

    def _result(self, status: str, result: t.Any) -> None:
        task = result._task
        self._write(
            status=status,
            host=result._host.get_name(),
            task=task.get_name(),
            action=task.action,
            result=dict(result._result),
        )

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._result("changed" if result._result.get("changed") else "ok", result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._result("ignored" if ignore_errors else "failed", result)

    def v2_runner_on_skipped(self, result: t.Any) -> None:
        self._result("skipped", result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._result("unreachable", result)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self._write(stats={host: stats.summarize(host) for host in stats.processed})
