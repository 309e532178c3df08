# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: one call of kafka_topic_replicate, from its options to its result."""

from __future__ import annotations

import time
import typing as t

from .._io import write_json
from .._progress import Progress
from . import outcome, retention
from .archiving import Archiving
from .connection import Settings
from .errors import StreamsError
from .records import parse_until
from .replicate import Copy, Request
from .workers import Workers

Params = t.Mapping[str, t.Any]
Make = t.Callable[[t.Optional[t.Mapping[str, t.Any]]], Settings]


def until_of(params: Params) -> t.Optional[int]:
    """The cut by time, in milliseconds."""
    if not params["until"]:
        return None
    try:
        return parse_until(params["until"])
    except ValueError as error:
        raise StreamsError(f"Option until '{params['until']}'", str(error), "Write 2026-11-23T02:00:04.512Z") from error


def request_of(params: Params, make: Make, check: bool, prefix: str) -> Request:
    """The options as the copy takes them."""
    return Request(
        source=None if params["archive"] else make(params["source"]),
        target=make(params["target"]),
        source_prefix=prefix,
        target_prefix=params["target_prefix"],
        state=params["state"],
        until=until_of(params),
        codec=params["compression_type"],
        stall=params["stall_timeout"],
        check=check,
        **{
            name: params[name]
            for name in (
                [
                    "streams",
                    "archive",
                    "positions",
                    "accept_gaps",
                    "include",
                    "exclude",
                    "empty",
                    "replication_factor",
                    "verify",
                    "workers",
                    "count",
                    "timeout",
                ]
            )
        },
    )


def run(params: Params, make: Make, check: bool, prefix: str) -> dict[str, t.Any]:
    """Do what the options say. The worker processes are forked before any client is made."""
    started = time.monotonic()
    with Workers(params["workers"]) as workers, Progress(params["progress"], "streams", "records") as progress:
        if params["archive_dest"]:
            archiving = Archiving(
                make(None), params["streams"], params["archive_dest"], params["timeout"], params["stall_timeout"]
            )
            result = archiving.run(
                workers,
                params["workers"],
                progress,
                accept_gaps=params["accept_gaps"],
                empty=params["empty"],
                check=check,
            )
            result = {**result, "lag": [], "unread": [], "settings_changed": []}
            return {**result, "duration": round(time.monotonic() - started, 3)}
        copy = Copy(request_of(params, make, check, prefix), workers, progress)
        result = _copy(copy, params)
    return {**result, "duration": round(time.monotonic() - started, 3)}


def _copy(copy: Copy, params: Params) -> dict[str, t.Any]:
    changes: list[dict[str, t.Any]] = []
    if params["retention"] == "released":
        changes = retention.release(copy, params["wait_for_groups"])
        copy.changed = bool(changes)
    else:
        copy.run()
    names = copy.names()
    behind, unread = retention.lag(copy) if copy.journal.phase in ("finished", "released") else ([], [])
    if params["report"] and not copy.request.check:
        write_json(params["report"], outcome.full(copy.journal, names))
    return {
        "changed": copy.changed,
        **outcome.summary(copy.journal, names),
        "lag": behind[:20],
        "unread": unread[:20],
        "settings_changed": changes[:20],
    }
