#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_lease
short_description: Let one restore at a time change a target
description:
  - Takes the lease of a data folder, or gives it back. While a run has it, another one is refused and told who has it,
    and so is a backup of what is in the folder.
  - A run that was killed needs no hand. The next one takes its place at once when both are started on the same host, or
    when there was no sign of life for O(lease_timeout), and what still writes for the killed one stops.
  - Used by the role P(nuxeo.platform.restore#role).
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.lease
attributes:
  check_mode:
    support: full
    details: Fails where another run has the lease.
  diff_mode:
    support: none
    details: There is nothing to show.
  idempotent:
    support: partial
    details: O(state=present) always begins a new run.
options:
  state:
    description: V(present) takes the lease, V(absent) gives it back.
    type: str
    choices: [present, absent]
    default: present
  data_dir:
    description: The data folder of the target. It is made when it is absent.
    type: path
    required: true
  backup_root:
    description: Where the backups of the target go. While one is on no restore begins.
    type: path
  instance:
    description: The name of the target. Required with O(backup_root).
    type: str
  run_id:
    description:
      - The run, as RV(run_id) told it. Required for O(state=absent).
      - In check mode of O(state=present) its own lease is not in its way, so that it can look on every node, after it
        has begun, whether another run began at the same time.
    type: str
seealso:
  - module: nuxeo.platform.backup_set
  - module: nuxeo.platform.restore_marker
"""

EXAMPLES = r"""
- name: Nobody else may restore into this folder now
  nuxeo.platform.restore_lease:
    data_dir: /var/lib/nuxeo/data
    backup_root: /srv/backup
    instance: acme
  register: turn

- name: It is over
  nuxeo.platform.restore_lease:
    data_dir: /var/lib/nuxeo/data
    state: absent
    run_id: "{{ turn.run_id }}"
"""

RETURN = r"""
run_id:
  description: The run. In check mode one that is not begun.
  returned: O(state=present)
  type: str
  sample: 5f0c6a1de3b94e07
who:
  description: The run in words, for messages.
  returned: O(state=present)
  type: str
  sample: run 5f0c6a1de3b94e07 of user 'ops' on 'controller1' (process 4711) at 2026-11-23T02:00:04.512345Z
progress:
  description: A file for the option C(progress) of every long step, which shows that the run lives.
  returned: O(state=present)
  type: str
  sample: /var/lib/nuxeo/data/.nuxeo-platform-run/sets/.partial-5f0c6a1de3b94e07/progress.json
took_over:
  description: The lease of the run whose place was taken, V(null) when the place was free.
  returned: O(state=present)
  type: dict
holder:
  description: The lease of the run that holds the place.
  returned: when the place is taken
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import LEASE
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.begin import end_turn, take_turn
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def main() -> None:
    """Ansible calls this."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "data_dir": {"type": "path", "required": True},
            "backup_root": {"type": "path"},
            "instance": {"type": "str"},
            "run_id": {"type": "str"},
            **LEASE,
        },
        required_if=[("state", "absent", ("run_id",))],
        required_by={"backup_root": "instance"},
        supports_check_mode=True,
    )
    p = module.params
    with fail_json_on_error(module):
        if p["state"] == "absent":
            module.exit_json(changed=end_turn(p["data_dir"], p["run_id"], module.check_mode))
        own = [p["run_id"]] if p["run_id"] and module.check_mode else []
        taken = take_turn(p["data_dir"], {**p, "gone": p["gone"] + own}, module.check_mode)
    module.exit_json(changed=True, **{key: taken[key] for key in ("run_id", "who", "progress", "took_over")})


if __name__ == "__main__":
    main()
