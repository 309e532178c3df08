#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: blob_verify
short_description: Read the blobs of a pool or store again and prove each
version_added: 1.0.0
description:
  - Reads all blobs, or a sample, and compares their digests with their names or with the SHA-256 in the list of a set.
  - Fails when a blob is rotten or missing, or cannot be read, and names it.
  - A rotten blob is taken out of the pool (it is kept in C(.rotten) there), so that the next run of
    M(nuxeo.platform.blob_rsync) copies it again when the source still has it. One that cannot be read stays where it
    is.
  - For that the pool is locked, and the blob is read once more. When it cannot be done, as in a pool that is read-only
    or while a backup runs, the message says so after what is wrong.
  - Fails when the pool holds no blob and has no mark of a backup, for then its volume may not be mounted.
options:
  pool:
    description: The pool to read, C(host:path) for one on another host. One of O(pool) and O(store) is required.
    type: str
  store:
    description: The root of a blob store to read, for what O(keys) names.
    type: path
  keys:
    description:
      - The list of a set, as O(nuxeo.platform.blob_rsync#module:set_keys) was for it. Required with O(store).
      - Without it every blob of the pool is read.
    type: path
  depth:
    description: As O(nuxeo.platform.blob_rsync#module:depth).
    type: int
  subset:
    description:
      - V(n/t) reads the n-th of t parts. The t parts together are everything.
    type: str
    default: 1/1
  set_aside:
    description:
      - Whether rotten blobs are taken out of the pool, and the next backup looks for all that are missing. Those that
        cannot be read never are.
    type: bool
    default: true
  jobs:
    description: How many processes read. V(0) is one for each processor, at most eight.
    type: int
    default: 0
  rsh:
    description:
      - How a pool on another host is reached, the beginning of a command line that ends in the host and a command.
      - The user that runs the module must get in without a password, and find C(python3), 3.9 or newer, there.
    type: list
    elements: str
    default: [ssh, -o, BatchMode=yes, -o, ConnectTimeout=30, -o, ServerAliveInterval=15]
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.progress
attributes:
  check_mode:
    support: full
    details: Reads all the same, and takes nothing out of the pool.
  diff_mode:
    support: none
  idempotent:
    support: full
seealso:
  - module: nuxeo.platform.blob_rsync
author:
  - Nuxeo Platform collection contributors (@nuxeo)
"""

EXAMPLES = r"""
- name: Read a seventh of the pool each day, all of it in a week
  nuxeo.platform.blob_verify:
    pool: /backup/prod/blobs/default
    subset: "{{ ansible_facts['date_time']['weekday_number'] | int + 1 }}/7"

- name: Read the blobs of one set
  nuxeo.platform.blob_verify:
    pool: /backup/prod/blobs/default
    keys: /backup/prod/sets/20261123T020004Z/blobs/default

- name: See whether a store holds all that a set names
  nuxeo.platform.blob_verify:
    store: /var/lib/nuxeo/data/binaries
    depth: 2
    keys: /backup/prod/sets/20261123T020004Z/blobs/default
    jobs: 2
"""

RETURN = r"""
checked:
  description: How many blobs were looked for.
  returned: success or when a blob is bad or missing
  type: int
bytes:
  description: How many bytes were read and found right.
  returned: success or when a blob is bad or missing
  type: int
rotten:
  description: Keys of blobs with other bytes, or that cannot be read, at most 20.
  returned: success or when a blob is bad or missing
  type: list
  elements: str
rotten_count:
  description: How many those are.
  returned: success or when a blob is bad or missing
  type: int
missing:
  description: Keys of blobs that are not there, at most 20.
  returned: success or when a blob is bad or missing
  type: list
  elements: str
missing_count:
  description: How many those are.
  returned: success or when a blob is bad or missing
  type: int
duration:
  description: Seconds.
  returned: success
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._argspec import PROGRESS
from ..module_utils._blobs.copy import Question, prove
from ..module_utils._blobs.options import RSH
from ..module_utils._errors import fail_json_on_error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "pool": {"type": "str"},
            "store": {"type": "path"},
            "keys": {"type": "path", "no_log": False},
            "depth": {"type": "int"},
            "subset": {"type": "str", "default": "1/1"},
            "set_aside": {"type": "bool", "default": True},
            "jobs": {"type": "int", "default": 0},
            "rsh": {"type": "list", "elements": "str", "default": list(RSH)},
            **PROGRESS,
        },
        mutually_exclusive=[("pool", "store")],
        required_one_of=[("pool", "store")],
        required_by={"store": ["keys"]},
        supports_check_mode=True,
    )
    began = time.monotonic()
    values = dict(module.params)
    progress = values.pop("progress")
    if module.check_mode:
        values["set_aside"] = False
    with fail_json_on_error(module):
        result = prove(Question(**values), progress)
    module.exit_json(duration=round(time.monotonic() - began, 3), **result)


if __name__ == "__main__":
    main()
