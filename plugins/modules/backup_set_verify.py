#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_set_verify
short_description: Read a backup set again and compare every byte with its checksums
description:
  - Every file that C(SHA256SUMS) names is read and compared; a file or link that is not named is bad too.
  - The manifest must be valid, the lists of keys that sets share must be there and as recorded, and
    C(pg_restore --list) must read the dump, unless O(dump=false).
  - The blobs in the pool are read by M(nuxeo.platform.blob_verify).
  - Fails when anything is bad, and when there is no C(pg_restore) that is new enough to read the dump.
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.backup_root
  - nuxeo.platform.attributes.read_only
  - nuxeo.platform.progress
options:
  set:
    description: The set, by its id, or V(latest), which fails when the newest one has no readable manifest.
    type: str
    default: latest
  dump:
    description:
      - Whether C(pg_restore --list) must read the dump. With V(false) it is compared with its checksums only, for a
        restore that reads it itself, or a host without PostgreSQL's programs.
    type: bool
    default: true
  bin_dir:
    description: The folder of C(pg_restore). Default is to look in E(PATH) and where packages put it.
    type: path
seealso:
  - module: nuxeo.platform.backup_set_info
  - module: nuxeo.platform.blob_verify
"""

EXAMPLES = r"""
- name: Read the newest set again
  nuxeo.platform.backup_set_verify:
    root: /srv/backup
    instance: acme
"""

RETURN = r"""
id:
  description: The set.
  returned: success or when something is bad
  type: str
  sample: 20261123T020004Z
path:
  description: Its folder.
  returned: success or when something is bad
  type: str
  sample: /srv/backup/acme/sets/20261123T020004Z
backup_date:
  description: The moment of its cut.
  returned: success or when something is bad
  type: str
  sample: '2026-11-23T02:00:04.512345Z'
files:
  description: How many files were read, the manifest too.
  returned: success or when something is bad
  type: int
  sample: 813
bytes:
  description: How many bytes were read.
  returned: success or when something is bad
  type: int
  sample: 73400320
key_lists:
  description: How many shared lists of keys were read.
  returned: success or when something is bad
  type: int
  sample: 1
dump_listed:
  description: Whether C(pg_restore --list) was run. V(false) for the embedded database H2, which is saved as files, and
    with O(dump=false).
  returned: success or when something is bad
  type: bool
  sample: true
bad:
  description: What is bad, the first 20.
  returned: success or when something is bad
  type: list
  elements: dict
  contains:
    path:
      description: Relative to the folder of the set; lists of keys to that of the instance.
      type: str
    problem:
      description: What is wrong with it.
      type: str
bad_count:
  description: How much is bad.
  returned: success or when something is bad
  type: int
  sample: 0
duration:
  description: Seconds.
  returned: success
  type: float
  sample: 1.2
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import BACKUP_ROOT, PROGRESS
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.place import Place
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.verify import Verifier
from ansible_collections.nuxeo.platform.plugins.module_utils._database.clients import clients
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error
from ansible_collections.nuxeo.platform.plugins.module_utils._process import run
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            **BACKUP_ROOT,
            "set": {"type": "str", "default": "latest"},
            "dump": {"type": "bool", "default": True},
            "bin_dir": {"type": "path"},
            **PROGRESS,
        },
        supports_check_mode=True,
    )
    options = module.params
    began = time.monotonic()
    with fail_json_on_error(module), Progress(None if module.check_mode else options["progress"], "verify") as progress:
        programs = None
        if options["dump"]:
            programs = {client.major: client.program("pg_restore") for client in clients(run, options["bin_dir"])}
        place = Place(options["root"], options["instance"])
        result = Verifier(place, options["set"], progress, run, programs).all()
    module.exit_json(changed=False, duration=round(time.monotonic() - began, 3), **result)


if __name__ == "__main__":
    main()
