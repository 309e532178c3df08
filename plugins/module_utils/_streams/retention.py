# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the later step of a copy: retention is set back once the groups have caught up."""

from __future__ import annotations

import typing as t

from . import groups, topics
from .errors import StreamsError
from .replicate import Copy


def release(copy: Copy, wait_for_groups: bool) -> list[dict[str, t.Any]]:
    """Set retention and cleanup policy of the finished copy's topics to the source's. Returns what was changed."""
    if not copy.journal.load(("target", "source_prefix", "target_prefix")):
        raise StreamsError(
            f"Release of retention on prefix '{copy.request.target_prefix}'",
            f"there is no state file '{copy.request.state}'",
            "Give that of the copy, on the host that ran it; if it is lost, set the topics' retention by any tool",
        )
    if copy.journal.phase not in ("finished", "released"):
        raise StreamsError(
            f"Release of retention on prefix '{copy.request.target_prefix}'",
            "the copy is not finished",
            "Run it with retention held first",
        )
    behind, _unread = lag(copy)
    if behind and wait_for_groups and copy.journal.phase == "finished":
        some = ", ".join(f"'{one['group']}' by {one['records']} records" for one in behind[:10])
        raise StreamsError(
            f"Release of retention on prefix '{copy.request.target_prefix}'",
            f"{len(behind)} groups have not caught up with what was copied: {some}",
            "Wait until Nuxeo has worked it off; set a group that nothing consumes with any more to the end; or set "
            "wait_for_groups to false: retention may then delete it",
            {"lag": behind[:20]},
        )
    changed = topics.set_final(
        copy.target, copy.journal, list(topics.RETENTION), copy.request.replication_factor, copy.request.check
    )
    if copy.journal.phase == "finished" and not copy.request.check:
        copy.journal.enter("released")
    return changed


def lag(copy: Copy) -> tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]]:
    """The groups that are behind the end of what was copied, and the topics that none reads."""
    names = copy.names()
    copied = {}
    for topic in copy.journal.plan["topics"]:
        for part in topic["partitions"]:
            report = copy.journal.partition((topic["name"], part["partition"])).get("done") or {}
            copied[(names[topic["name"]], part["partition"])] = int(report.get("records", 0))
    return groups.lag(copy.target, copy.journal.plan, copy.request.target_prefix, copied)
