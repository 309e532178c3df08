#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: blob_rsync
short_description: Copy the blobs of a Nuxeo store to the pool of a backup root, or back
version_added: 1.0.0
description:
  - Copies what is new from a blob store to the pool of a backup root, and writes the list of the keys of a set.
  - Every blob is hashed while it is copied. A blob whose bytes do not have the digest that its key says is an error.
  - Only folders whose time has changed since the last pass are listed, and no file is looked at that the pool has.
  - The other way, from pool to store, it brings what is missing or wrong there, and nothing else.
options:
  src:
    description:
      - Where blobs are copied from, a pool or the root of a blob store (the folder that has C(config.xml)).
      - A pool can be on another host, C(host:path), a store is on this one.
    type: str
    required: true
  src_layout:
    description: What O(src) is.
    type: str
    choices: [store, pool]
    default: store
  dest:
    description: Where blobs are copied to. It is made when it is missing. A pool can be on another host, C(host:path).
    type: str
    required: true
  dest_layout:
    description: What O(dest) is; the other one of O(src_layout).
    type: str
    choices: [store, pool]
    default: pool
  provider:
    description: The name of the blob provider, as in the keys of the database.
    type: str
    default: default
  default_provider:
    description:
      - Whether keys of the database that name no provider belong to this one.
      - What stands before the colon of a key names a provider when it is one of O(other_providers), or when this store
        has no blob of that whole name.
    type: bool
    default: true
  other_providers:
    description: The blob providers of the instance beside this one.
    type: list
    elements: str
    default: []
  kind:
    description:
      - V(digest) (or V(file)) for a store in which the key is the digest of the bytes.
      - V(record) for records, where the bytes under a key can change, and V(encrypted) for a store of the AES provider,
        where they do not have the digest of the key. The pool keeps those under their SHA-256.
    type: str
    choices: [digest, file, record, encrypted]
    default: digest
  digest:
    description: The digest of the store. Default is what its C(config.xml) says.
    type: str
    choices: [MD5, SHA-1, SHA-256, SHA-384, SHA-512]
  depth:
    description:
      - How many levels of folders the store has. Default is what its C(config.xml) says, and V(0) for records, which
        Nuxeo keeps without folders whatever C(config.xml) says.
    type: int
  state:
    description:
      - Where the state of the last pass is kept, the first part of a file name. A cache that may be lost.
      - Without it every folder is listed.
    type: path
  set_keys:
    description: Where the list of the keys of the set is written, the first part of file names. Without it none is.
    type: path
  keys:
    description: The list of a set, as O(set_keys) was for it. Required when O(src_layout=pool).
    type: path
  required:
    description:
      - A file with the keys that the database refers to, one to a line, sorted by bytes.
      - The module fails and names those that are neither in the store nor in the pool.
      - With O(src_layout=pool) it names those that O(keys) does not hold, and fails before it changes anything.
    type: path
  like:
    description:
      - A folder of the user whose the store is to be, such as the data folder of its server. A store that is not there
        and would be made in a folder of another user gets owner, group and mode from it. Without it they are those of
        the nearest folder that exists, as for all that is put into a store.
      - Used with O(src_layout=pool).
    type: path
  record_digests:
    description:
      - A file with the digests that the database has of records, a key, a tab and a digest to a line.
      - Of records that have changed since the pass before, which should be that of a head start, the set gets the bytes
        that have this digest. The module fails and names those of which it has read no such bytes.
      - Used with O(kind=record) and O(required).
    type: path
  full:
    description: List every folder of store and pool, whatever the state says.
    type: bool
    default: false
  full_every:
    description: List every folder at least once in that many passes.
    type: int
    default: 20
  folder_times:
    description: Whether the times of folders can be trusted. V(false) for network file systems where they cannot.
    type: bool
    default: true
  accept_shrink:
    description: Accept a store that is missing, empty, or 30 % smaller than at the last pass.
    type: bool
    default: false
  jobs:
    description: How many processes work. V(0) is one for each processor, at most eight.
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
  diff_mode:
    support: full
    details: Tells how many blobs were copied, and their size.
  idempotent:
    support: full
seealso:
  - module: nuxeo.platform.blob_verify
author:
  - Nuxeo Platform collection contributors (@nuxeo)
"""

EXAMPLES = r"""
- name: Copy the new blobs to the pool
  nuxeo.platform.blob_rsync:
    src: /var/lib/nuxeo/data/binaries
    dest: /backup/prod/blobs/default
    state: /backup/prod/state/blobs-default
    full_every: 7

- name: Bring the blobs of a set back
  nuxeo.platform.blob_rsync:
    src: /backup/prod/blobs/default
    src_layout: pool
    dest: /var/lib/nuxeo/data/binaries
    dest_layout: store
    keys: /backup/prod/sets/20261123T020004Z/blobs/default
"""

RETURN = r"""
keys:
  description: How many blobs the store, or the set, holds.
  returned: success or when a blob is bad or missing
  type: int
copied:
  description: How many blobs were copied, or would be.
  returned: success or when a blob is bad or missing
  type: int
bytes_copied:
  description: Their size.
  returned: success or when a blob is bad or missing
  type: int
present:
  description: How many blobs of the folders that were listed were there already.
  returned: success or when a blob is bad or missing
  type: int
vanished:
  description: How many blobs were gone between the listing and the reading.
  returned: success or when a blob is bad or missing
  type: int
ignored:
  description: How many files are not blobs, in-flight files and those whose name begins with a dot.
  returned: success or when a blob is bad or missing
  type: int
doubted:
  description:
    - How many folders had changed though their time had not.
    - More than none says that O(folder_times) should be V(false).
  returned: success or when a blob is bad or missing
  type: int
missing:
  description: Keys that the database refers to and that are nowhere, at most 20.
  returned: success or when a blob is bad or missing
  type: list
  elements: str
missing_count:
  description: How many those are.
  returned: success or when a blob is bad or missing
  type: int
foreign:
  description:
    - What stands before the colon of keys that are no blobs of this store and name none of O(other_providers), at most
      20. With O(default_provider) only.
  returned: success or when a blob is bad or missing
  type: list
  elements: str
superseded:
  description:
    - How many records were replaced after the dump, so that the set has the bytes of the pass before.
    - See O(record_digests).
  returned: success or when a blob is bad or missing
  type: int
problems:
  description: Blobs that could not be copied or proven, and why, at most 20.
  returned: success or when a blob is bad or missing
  type: list
  elements: str
problem_count:
  description: How many those are.
  returned: success or when a blob is bad or missing
  type: int
folders_listed:
  description: How many folders were listed.
  returned: success or when a blob is bad or missing
  type: int
folders:
  description: How many folders the store has.
  returned: success or when a blob is bad or missing
  type: int
full_pass:
  description: Whether every folder was listed.
  returned: success or when a blob is bad or missing
  type: bool
duration:
  description: Seconds.
  returned: success
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._argspec import PROGRESS
from ..module_utils._blobs.copy import copy
from ..module_utils._blobs.options import RSH, Options
from ..module_utils._errors import fail_json_on_error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "src": {"type": "str", "required": True},
            "src_layout": {"type": "str", "choices": ["store", "pool"], "default": "store"},
            "dest": {"type": "str", "required": True},
            "dest_layout": {"type": "str", "choices": ["store", "pool"], "default": "pool"},
            "provider": {"type": "str", "default": "default"},
            "default_provider": {"type": "bool", "default": True},
            "other_providers": {"type": "list", "elements": "str", "default": []},
            "kind": {"type": "str", "choices": ["digest", "file", "record", "encrypted"], "default": "digest"},
            "digest": {"type": "str", "choices": ["MD5", "SHA-1", "SHA-256", "SHA-384", "SHA-512"]},
            "depth": {"type": "int"},
            "state": {"type": "path"},
            "set_keys": {"type": "path", "no_log": False},
            "keys": {"type": "path", "no_log": False},
            "required": {"type": "path"},
            "like": {"type": "path"},
            "record_digests": {"type": "path"},
            "full": {"type": "bool", "default": False},
            "full_every": {"type": "int", "default": 20},
            "folder_times": {"type": "bool", "default": True},
            "accept_shrink": {"type": "bool", "default": False},
            "jobs": {"type": "int", "default": 0},
            "rsh": {"type": "list", "elements": "str", "default": list(RSH)},
            **PROGRESS,
        },
        required_if=[("src_layout", "pool", ["keys"])],
        supports_check_mode=True,
    )
    began = time.monotonic()
    values = dict(module.params)
    progress = values.pop("progress")
    values["kind"] = "digest" if values["kind"] == "file" else values["kind"]
    with fail_json_on_error(module):
        result = copy(Options(**values, check=module.check_mode), progress)
    if module._diff:
        result["diff"] = {"before": "", "after": f"{result['copied']} blobs, {result['bytes_copied']} bytes\n"}
    module.exit_json(changed=result["copied"] > 0, duration=round(time.monotonic() - began, 3), **result)


if __name__ == "__main__":
    main()
