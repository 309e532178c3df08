# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that shows each user its own processes only, as with hidepid: that none is seen says nothing there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import service as service_module
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.process import hides_others
from ansible_collections.nuxeo.platform.tests.unit._conf.systemctl import Systemctl, service


def test_others_are_hidden_where_the_first_process_may_not_be_read(tmp_path: Path) -> None:
    assert not hides_others()
    assert hides_others(str(tmp_path))
    (tmp_path / "1").mkdir()
    (tmp_path / "1/cmdline").touch()
    assert not hides_others(str(tmp_path))


@pytest.mark.parametrize(("hidden", "own"), [(True, False), (True, True), (False, False)])
def test_a_server_that_is_not_seen_may_run(
    conf: Path, monkeypatch: pytest.MonkeyPatch, hidden: bool, own: bool
) -> None:
    monkeypatch.setattr(service_module, "hides_others", lambda: hidden)
    user = conf.stat().st_uid if own else conf.stat().st_uid + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    one = service(conf, Systemctl(conf), 0)
    if not hidden or own:
        assert one.settled() == one.servers() == []
        return
    for look in (one.settled, one.servers, one.stop, one.start):
        with pytest.raises(ConfError, match="hides those of other users.*Run as root or as the user of Nuxeo"):
            look()
