# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose the topics of the target are: those of the source or of somebody else are left alone, gone ones not done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from servers.kafka.tools import Failed

from .test_streams_hard import NOW, rows, send_numbers

pytestmark = pytest.mark.xdist_group("streams-1")


def test_a_copy_onto_its_source_is_refused(copying):
    """Also where the topics are empty, so that nothing else speaks against it."""
    topic = copying.name("work-a")
    copying.site.create(topic)
    copying.backup()
    with pytest.raises(Failed, match="source and target are the same topics"):
        copying.restore(target_prefix=copying.source)
    assert copying.site.configs(topic) == {}
    with pytest.raises(Failed, match=f"it is of prefix '{copying.source}', not of 'other-'"):
        copying.restore(source_prefix="other-")


@pytest.mark.parametrize("anew", [True, False])
def test_a_finished_copy_whose_topic_is_not_there_any_more_is_not_finished(copying, anew):
    if anew and copying.version < (2, 8):
        return  # brokers of that age give no topic an id
    new = copying.copied("work-a")
    copying.site.create(copying.name("work-a"))
    send_numbers(copying, "work-a", range(5))
    copying.backup()
    copying.restore()
    copying.site.delete(new)
    if anew:
        copying.site.create(new)
    with pytest.raises(Failed, match=f"it is finished, but topic '{new}' was deleted or made anew"):
        copying.restore()


def test_a_topic_that_somebody_else_has_made_meanwhile_is_left_alone(copying):
    if copying.version < (2, 8):
        return
    new = copying.copied("work-a")
    copying.site.create(copying.name("work-a"), 2)
    for number in range(2):
        send_numbers(copying, "work-a", range(500), partition=number)
    copying.backup()
    copying.restore()
    state = json.loads(Path(copying.state).read_text())
    Path(copying.state).write_text(json.dumps({**state, "phase": "copying"}))  # as a run leaves it that is killed
    with pytest.raises(Failed, match="the copy is not finished"):
        copying.restore(retention="released")
    copying.site.delete(new)
    with pytest.raises(Failed, match=f"topic '{new}'.* is gone"):
        copying.restore()
    copying.site.create(new, 2)
    copying.site.send(new, [(0, NOW, b"7", b"v")])
    with pytest.raises(Failed, match=f"topic '{new}' was made anew by somebody else"):
        copying.restore()
    assert copying.site.rows(new) == rows([7])


def test_an_empty_topic_of_another_shape_is_refused(copying):
    copying.site.create(copying.name("work-a"), 2)
    copying.site.create(copying.copied("work-a"), 3)
    copying.backup()
    with pytest.raises(Failed, match=f"topic '{copying.copied('work-a')}' has 3 partitions, the source 2"):
        copying.restore()
    assert copying.site.configs(copying.copied("work-a")) == {}
