#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nuxeo_service
short_description: Start or stop Nuxeo, and wait until it really has started or is gone
version_added: 1.0.0
description:
  - Starts or stops a Nuxeo by its systemd unit or by C(nuxeoctl).
  - Whether it runs is decided by its process, as C(nuxeoctl) decides it. No pid file and no exit code is trusted.
  - It has started when its process is there and C(runningstatus?info=started) says C(true).
  - It is stopped when no process runs with its C(nuxeo.conf) any more, whoever has started it.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
options:
  name:
    description:
      - The systemd unit.
      - V(nuxeoctl) for the C(bin/nuxeoctl) below O(home), or the path of a C(nuxeoctl).
      - As root, C(nuxeoctl) is run as the owner of the data folder.
    type: str
    default: nuxeoctl
  state:
    description:
      - V(started) starts it when it does not run, and waits until it has started in any case. A unit that is active
        without a server, as that of an init script after a crash, is restarted.
      - V(stopped) stops it when it runs, or is about to, and waits until its process is gone. What could not be started
        again, by a masked unit or without its environment, is not stopped.
    type: str
    choices: [started, stopped]
    required: true
  conf:
    description:
      - The C(nuxeo.conf) of the instance.
      - Default as O(nuxeo.platform.nuxeo_conf_facts#module:path).
    type: path
  home:
    description:
      - E(NUXEO_HOME) of the instance.
      - Default as O(nuxeo.platform.nuxeo_conf_facts#module:home).
    type: path
  environment:
    description:
      - Environment of the Nuxeo process. C(nuxeoctl) starts the server with it, added to the one that the server had
        when this module stopped it. A unit has its own.
      - By default that of its systemd unit, completed by the one that the server had when this module stopped it.
    type: dict
  version:
    description:
      - The version of Nuxeo.
      - Default as O(nuxeo.platform.nuxeo_conf_facts#module:version).
    type: str
  url:
    description:
      - Where Nuxeo answers, for example V(http://127.0.0.1:8080/nuxeo).
      - By default from the bind address, the port and the context path of its configuration. Beside HTTPS Nuxeo serves
        HTTP on V(127.0.0.1) only.
    type: str
  timeout:
    description:
      - How many seconds to wait at most.
    type: int
    default: 600
extends_documentation_fragment:
  - nuxeo.platform.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: There is nothing to show but the state.
  idempotent:
    support: full
notes:
  - When this module stops a server, it keeps the environment of the server in a folder of its own in C(/var/tmp),
    readable for its owner only, until it starts the server again. What is to be read otherwise meanwhile, the unit or
    O(environment) says.
seealso:
  - module: ansible.builtin.service
"""

EXAMPLES = r"""
- name: Stop the instance before its embedded database is copied
  nuxeo.platform.nuxeo_service:
    name: nuxeo.service
    state: stopped
  register: stopped

- name: Start it again when it ran
  nuxeo.platform.nuxeo_service:
    name: nuxeo.service
    state: started
    url: http://127.0.0.1:8080/nuxeo
  when: stopped.running_before
"""

RETURN = r"""
running_before:
  description: Whether the server ran before.
  type: bool
  returned: success
  sample: true
pid:
  description: The process of the server, null when it is stopped.
  type: int
  returned: success
  sample: 4711
management_url:
  description: Where the server takes administrators' calls, as seen from its host.
  type: str
  returned: success
  sample: http://127.0.0.1:8080/nuxeo
duration:
  description: How many seconds it took.
  type: float
  returned: success
  sample: 34.5
"""

import time

from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.service import Service, runner
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def main() -> None:
    module = EnvironmentModule(
        "environment",
        argument_spec={
            "name": {"type": "str", "default": "nuxeoctl"},
            "state": {"type": "str", "choices": ["started", "stopped"], "required": True},
            "conf": {"type": "path"},
            "home": {"type": "path"},
            "environment": {"type": "dict"},
            "version": {"type": "str"},
            "url": {"type": "str"},
            "timeout": {"type": "int", "default": 600},
        },
        supports_check_mode=True,
    )

    given = module.params
    conf = given["conf"], given["home"], given["environment"], given["version"]
    stopping = given["state"] == "stopped"
    begun = time.monotonic()
    with fail_json_on_error(module):
        # in check mode a restore has not taken its guard off before it comes here
        configuration = resolve(*conf, ignore_guard=stopping or module.check_mode)
        service = Service(given["name"], configuration, runner(module), given["timeout"], given["url"])
        before = service.settled() if stopping else service.servers()
        pid = before[0].pid if before and not stopping else None
        if not module.check_mode:
            if stopping and before:
                service.stop()
            elif not stopping:
                pid = service.start().pid
        module.exit_json(
            changed=bool(before) == stopping,
            running_before=bool(before),
            pid=pid,
            management_url=service.management(),
            duration=round(time.monotonic() - begun, 3),
        )


if __name__ == "__main__":
    main()
