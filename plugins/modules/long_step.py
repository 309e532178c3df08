#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: long_step
short_description: Wait for a step that runs in the background of a node
version_added: 1.0.0
description:
  - Waits for a task that was started with C(async) and C(poll=0), and returns what it has told at its end.
  - Unlike M(ansible.builtin.async_status) in a loop, it does not believe that a step is on because its note says so.
    The step has failed when its process has ended without a result, since it was killed or its node was booted.
  - A connection that is cut is tried again. When the node has been out of reach for longer than the variable
    C(nuxeo_platform_lost_timeout) says (seconds, by default 3600; of the host, as C(ansible_async_dir) is), it fails.
  - The modules of this collection that may take hours are waited for in the same way when they get C(async) and a
    C(poll) of at least 1, and what is in their O(progress) is shown.
  - What the step has noted on the node is removed at its end.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
attributes:
  check_mode:
    support: full
    details: It waits there too. No step is started in check mode, so there is none to wait for.
  diff_mode:
    support: N/A
    details: The step is another module's.
  idempotent:
    support: none
    details: Of a step there is one result, which is removed when it was returned.
options:
  jid:
    description: The step, as RV(ignore:ansible_job_id) of the task that has started it.
    type: str
    required: true
  step:
    description: What messages call the step.
    type: str
    required: true
  poll:
    description: Seconds between two looks at the step, at least V(1).
    type: int
    default: 2
  progress:
    description:
      - The progress file of the step. What it says is shown every half minute.
      - Where the run prints JSON that is on standard error.
    type: path
"""

EXAMPLES = r"""
- name: Start the snapshot
  nuxeo.platform.es_snapshot:
    repository: nuxeo
    name: monday
    indices: [nuxeo-audit]
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
  async: 86400
  poll: 0
  register: job

- name: Do something else meanwhile
  ansible.builtin.command:
    argv: [sync]
  changed_when: false

- name: Wait for the snapshot
  nuxeo.platform.long_step:
    jid: "{{ job.ansible_job_id }}"
    step: snapshot 'monday'
"""

RETURN = r"""
finished:
  description: That the step has ended. Beside it stands what the step itself returns.
  returned: when the step has ended with a result
  type: bool
  sample: true
"""

# The work is done on the controller, by the action plugin of this name.
