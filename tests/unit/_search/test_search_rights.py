# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What answers say about the rights of a login; real engines are asked in the integration tests."""

from __future__ import annotations

import fnmatch
import typing as t

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._search import rights
from ansible_collections.nuxeo.platform.plugins.module_utils._search.client import Answer, Client
from ansible_collections.nuxeo.platform.plugins.module_utils._search.errors import Lost, SearchError

NOT_THERE = Answer(404, {"error": {"type": "repository_missing_exception", "reason": "[RIGHTS#] missing"}})
FORBIDDEN = Answer(
    403, {"error": {"type": "security_exception", "reason": "action [indices:admin/get] is unauthorized"}}
)


def test_no_restored_index_gets_a_block_or_a_policy() -> None:
    """None of the engines of the tests knows policies; of the blocks it is tried on them, by the same request."""
    left = rights.restore_body("audit", "nuxeo", ["index.number_of_replicas"])["ignore_index_settings"]
    for setting in (
        "index.blocks.read_only",
        "index.lifecycle.name",
        "index.lifecycle.rollover_alias",
        "index.plugins.index_state_management.policy_id",
        "index.opendistro.index_state_management.policy_id",
        "index.number_of_replicas",
    ):
        assert any(fnmatch.fnmatchcase(setting, pattern) for pattern in left), setting
    assert not any(fnmatch.fnmatchcase("index.mapping.total_fields.limit", pattern) for pattern in left)


class Fake:
    """Answers one call in its own way, all others as an engine that allows everything."""

    where = "fake"

    def __init__(self, call: str, answer: Answer | Lost) -> None:
        self.special = call
        self.answer = answer

    def call(self, method: str, target: str, body: t.Any = None, **_: t.Any) -> Answer:
        if f"{method} {target}" != self.special:
            return NOT_THERE
        if isinstance(self.answer, Lost):
            raise self.answer
        return self.answer


def ask(call: str, answer: Answer | Lost) -> list[str]:
    return rights.for_snapshot(t.cast(Client, Fake(call, answer)), ["a"], own=True)


def test_what_is_allowed_and_what_is_not() -> None:
    assert ask("", NOT_THERE) == []
    assert ask("GET /a", FORBIDDEN) == [
        "the login lacks these privileges, grant them to a role of it: indices:admin/get"
    ]


@pytest.mark.parametrize("status", [400, 403, 405, 500])
def test_an_answer_of_no_engine_is_not_taken_for_a_right(status: int) -> None:
    told = ask("DELETE /_snapshot/RIGHTS%23/rights", Answer(status, "<html>no</html>"))
    assert told == [
        "whether the login may DELETE /_snapshot/RIGHTS%23/rights could not be found out "
        f"(HTTP {status}, <html>no</html>)"
    ]


def test_a_login_that_is_not_accepted() -> None:
    with pytest.raises(SearchError, match="does not accept the login"):
        ask("GET /_snapshot", Answer(401, {}))


def test_an_index_that_is_red_is_not_a_matter_of_rights() -> None:
    lost = Lost("Count", "HTTP 503", "", {"types": ["search_phase_execution_exception"]})
    assert ask("GET /a/_count", lost) == []
    with pytest.raises(Lost):
        ask("GET /a/_count", Lost("Count", "no answer"))


def test_a_node_that_is_down_is_not_taken_for_the_engine() -> None:
    """A count is not asked for again and again while an index is red, but once when the next node has its turn."""
    asked: list[str] = []

    class Down(Fake):
        def call(self, method: str, target: str, body: t.Any = None, **_: t.Any) -> Answer:
            if target == "/a/_count" and asked.append(target) is None and len(asked) == 1:
                raise Lost("Count", "no answer")
            return super().call(method, target, body)

    assert rights.for_snapshot(t.cast(Client, Down("", NOT_THERE)), ["a"], own=True) == []
    assert len(asked) == 2


@pytest.mark.parametrize("running", [True, False])
def test_an_old_engine_that_makes_a_snapshot_is_not_waited_for(running: bool) -> None:
    """It does not answer before that one has ended, which may be in hours."""
    status = Answer(200, {"snapshots": [{"repository": "r", "snapshot": "theirs"}] if running else []})

    class Busy(Fake):
        def call(self, method: str, target: str, body: t.Any = None, **_: t.Any) -> Answer:
            return status if target.endswith("_status") else super().call(method, target, body)

    busy = t.cast(Client, Busy("PUT /_snapshot/RIGHTS%23/rights", Lost("Snapshot", "no answer")))
    if running:
        assert rights.for_snapshot(busy, ["a"], own=True) == []
    else:
        with pytest.raises(Lost):
            rights.for_snapshot(busy, ["a"], own=True)
