#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nuxeo_service_watch
short_description: Start a server that a killed backup has left stopped
description:
  - Waits on the node while a backup has its server stopped, for a cold copy or to open the search engine inside of it.
    When the run gives no sign of life for O(lease_timeout) and has not started the server again, this does.
  - Ends without a change when the server was started, whoever did it, when another run has taken the place of this one,
    and when a restore onto the server begins. A server that is stopped afterwards stays so.
  - When the backup root is full, read-only or away, the server is started all the same.
  - Made to be started with C(async) and C(poll=0), so that it goes on when the run, or the whole controller, is killed.
  - Used by the role P(nuxeo.platform.backup#role).
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.backup_root
attributes:
  check_mode:
    support: none
    details: There is nothing to wait for.
  diff_mode:
    support: none
    details: There is nothing to show.
  idempotent:
    support: full
    details: A server that runs is left alone.
options:
  run_id:
    description: The run, as RV(nuxeo.platform.backup_set#module:run_id) told it.
    type: str
    required: true
  note:
    description: The file that says that the server is to be started again. Remove it to keep the server stopped.
    type: path
    required: true
  data_dir:
    description: The data folder. A restore into it has the care of the server.
    type: path
    required: true
  lease_timeout:
    description: After how many seconds without a sign of life the run is taken to be gone.
    type: int
    default: 900
  name:
    description: As O(nuxeo.platform.nuxeo_service#module:name).
    type: str
    default: nuxeoctl
  conf:
    description: As O(nuxeo.platform.nuxeo_service#module:conf).
    type: path
    required: true
  home:
    description: As O(nuxeo.platform.nuxeo_service#module:home).
    type: path
    required: true
  environment:
    description: As O(nuxeo.platform.nuxeo_service#module:environment).
    type: dict
  version:
    description: As O(nuxeo.platform.nuxeo_service#module:version).
    type: str
  timeout:
    description: Seconds in which the server has to be started.
    type: int
    default: 600
seealso:
  - module: nuxeo.platform.nuxeo_service
  - module: nuxeo.platform.backup_set
"""

EXAMPLES = r"""
- name: Whatever becomes of this run, the server is started again
  nuxeo.platform.nuxeo_service_watch:
    root: /srv/backup
    instance: acme
    run_id: "{{ begun.run_id }}"
    note: /srv/backup/acme/stopped-dms1
    data_dir: /var/lib/nuxeo/data
    conf: /etc/nuxeo/nuxeo.conf
    home: /opt/nuxeo
  async: 604800
  poll: 0
"""

RETURN = r"""
server_started:
  description: Whether the run was gone, and the server was started. C(started) alone means something else to C(async).
  returned: success
  type: bool
"""

import functools
import os
import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import BACKUP_ROOT
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import is_turn_taken
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.controller import identity
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.watch import Watch
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.guard import is_armed
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.process import running
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.service import Service, runner
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def restored(p: dict[str, t.Any]) -> bool:
    """Whether a restore has the care of the node: by its lease where the node leads it, by its guard on every one."""
    return is_turn_taken(p["data_dir"]) or is_armed(p["conf"])


def main() -> None:
    """Ansible calls this."""
    required = {"type": "path", "required": True}
    module = EnvironmentModule(
        "environment",
        argument_spec={
            **BACKUP_ROOT,
            **dict.fromkeys(("note", "data_dir", "conf", "home"), required),
            "run_id": {"type": "str", "required": True},
            "lease_timeout": {"type": "int", "default": 900},
            "name": {"type": "str", "default": "nuxeoctl"},
            "environment": {"type": "dict"},
            "version": {"type": "str"},
            "timeout": {"type": "int", "default": 600},
        },
    )
    p = module.params
    started = False
    with fail_json_on_error(module):
        place = Place(p["root"], p["instance"])
        servers = functools.partial(running, p["conf"])
        watch = Watch(place, p["note"], p["run_id"], p["lease_timeout"], servers, functools.partial(restored, p))
        taken = watch.wait({"node": os.path.basename(p["note"]), "controller": identity(os.getpid())})
        if taken is not None:
            try:
                configuration = resolve(p["conf"], p["home"], p["environment"], p["version"])
                Service(p["name"], configuration, runner(module), p["timeout"]).start()
                started = True
            finally:
                watch.end(taken, started)
    module.exit_json(changed=started, server_started=started)


if __name__ == "__main__":
    main()
