# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retention is released when what was copied is worked off, whether or not a group had begun with it at the backup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from servers.kafka.tools import Failed

from .test_streams_hard import send_numbers

pytestmark = pytest.mark.xdist_group("streams-1")


def held(copying, rest):
    return copying.site.configs(copying.copied(rest)).get("retention.ms") == "-1"


def test_a_partition_that_a_group_has_no_position_on_is_waited_for(copying):
    """As after the first record of that partition: the group begins there with it."""
    topic, new = copying.name("work-a"), copying.copied("work-a")
    copying.site.create(topic, 3)
    for number in range(2):
        send_numbers(copying, "work-a", range(10), partition=number)
    copying.site.commit(copying.name("work-a"), {(topic, 0): 10})
    copying.backup()
    result = copying.restore()
    assert result["missing_position_count"] == 2
    assert result["lag"] == [{"group": new, "records": 10}]
    with pytest.raises(Failed, match=f"'{new}' by 10 records"):
        copying.restore(retention="released")
    copying.site.commit(new, {(new, 1): 7})
    with pytest.raises(Failed, match=f"'{new}' by 3 records"):
        copying.restore(retention="released")
    assert held(copying, "work-a")
    copying.site.commit(new, {(new, 1): 10})
    assert copying.restore(retention="released")["lag"] == [] and not held(copying, "work-a")


def test_a_group_that_began_after_the_restore_is_waited_for(copying):
    topic, new = copying.name("work-a"), copying.copied("work-a")
    copying.site.create(topic, 2)
    for number in range(2):
        send_numbers(copying, "work-a", range(10), partition=number)
    copying.backup()
    copying.restore()
    copying.site.commit(copying.copied("work-late"), {(new, 1): 4})
    with pytest.raises(Failed, match=f"'{copying.copied('work-late')}' by 16 records"):
        copying.restore(retention="released")
    assert copying.restore(retention="released", wait_for_groups=False)["changed"] and not held(copying, "work-a")


def test_a_topic_that_no_group_reads_is_named_and_not_waited_for(copying):
    topic = copying.name("work-a")
    for rest in ("work-a", "work-dlq", "work-none"):
        copying.site.create(copying.name(rest))
    send_numbers(copying, "work-a", range(10))
    send_numbers(copying, "work-dlq", range(3))
    copying.site.commit(topic, {(topic, 0): 10})
    copying.backup()
    unread = [{"topic": copying.copied("work-dlq"), "records": 3}]
    assert copying.restore()["unread"] == unread
    state = Path(copying.state).read_bytes()
    told = copying.restore(retention="released", check=True)
    assert told["unread"] == unread and f"{copying.copied('work-dlq')} (3 records)" in str(told["warnings"])
    assert held(copying, "work-dlq") and Path(copying.state).read_bytes() == state
    assert copying.restore(retention="released")["changed"] and not held(copying, "work-dlq")
    again = copying.restore(retention="released")
    assert not again["changed"] and not again.get("warnings")


def test_without_the_state_of_the_copy_it_says_what_to_do(copying):
    copying.site.create(copying.name("work-a"))
    copying.backup()
    told = f"Release of retention on prefix '{copying.target}': there is no state file '{copying.state}'. Give"
    with pytest.raises(Failed, match=re.escape(told)):
        copying.restore(retention="released")
