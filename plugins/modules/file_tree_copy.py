#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_tree_copy
short_description: Copy a folder into a backup set, and back
description:
  - Copies a folder with all in it to a folder of the same host, owner-only, with a list beside it of what each name was
    like. Holes stay holes, links stay links, and every file is hashed while it is copied.
  - A link that leads inside O(src) leads to the same place of the copy, also when it is absolute.
  - On the way back each file's bytes are compared with the list, its mode, owner and time are set, and nothing is
    written through a link.
  - The source may be in use. A name that vanishes meanwhile is counted, a file that is written to is copied as it is
    read.
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.progress
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: A tree may have any number of files. The result counts them.
  idempotent:
    support: partial
    details: With O(state=restored) the second run changes nothing. A copy is made anew, into an empty folder only.
options:
  state:
    description: The direction.
    type: str
    choices:
      copied: From the place of use to the copy.
      restored: From the copy to a place of use.
    default: copied
  src:
    description: The folder to read. If it is a link, what it leads to.
    type: path
    required: true
  dest:
    description: The folder to write. For O(state=copied) it must be absent or empty.
    type: path
    required: true
  tree_list:
    description: The list of names, written or read. Default is C(tree.jsonl) in the folder that holds the copy.
    type: path
  exclude:
    description:
      - What is left out of the copy, as globs relative to O(src). C(*), C(?) and C([...]) stay within a name, C(**)
        crosses folders, a slash at the end means folders only.
      - A folder is left out with all that is in it.
    type: list
    elements: str
    default: []
  outside_links:
    description: What to do about links that lead to something outside O(src), which is not in the copy.
    type: str
    choices:
      refuse: Fail.
      keep: Keep the link, and tell in RV(outside_links).
    default: refuse
  existing:
    description: What to do on the way back when O(dest) holds something and is not already as it is to be.
    type: str
    choices:
      refuse: Fail.
      aside: Rename O(dest) to C(<dest>_before_<UTC time>). Where that cannot be, move what is in it into
        C(.nuxeo-platform-before-<UTC time>) there.
      merge: Write into it. What is not in the copy stays.
    default: refuse
  keep:
    description:
      - Folders that stay where they are on the way back, as blob stores do.
      - A link below O(dest) that leads to one of them is followed where O(src) has a folder. No other link is.
    type: list
    elements: path
    default: []
  owner:
    description:
      - Owner of everything on the way back. Default is the recorded one, by its name.
      - Without root one that is not given stays the one who runs this, and RV(unowned) counts where that makes a
        difference. Nobody else can be given then.
    type: str
  group:
    description: Likewise the group. Without root it can be one of those of the user.
    type: str
notes:
  - Extended attributes and hard links are not kept.
seealso:
  - module: nuxeo.platform.blob_rsync
  - module: ansible.builtin.copy
"""

EXAMPLES = r"""
- name: Save a data folder without what is disposable
  nuxeo.platform.file_tree_copy:
    src: /var/lib/nuxeo/data
    dest: "{{ begun.partial }}/files/{{ inventory_hostname }}/data"
    exclude:
      - binaries/data
      - "binaries_transient_*"
      - "h2/*.trace.db"
    outside_links: keep
    progress: "{{ begun.progress }}"

- name: Put it back, and keep aside what is there
  nuxeo.platform.file_tree_copy:
    state: restored
    src: /srv/backup/acme/sets/20261123T020004Z/files/node1/data
    dest: /var/lib/nuxeo/data
    existing: aside
"""

RETURN = r"""
files:
  description: How many files the copy has.
  returned: success
  type: int
  sample: 812
folders:
  description: How many folders it has.
  returned: success
  type: int
  sample: 31
bytes:
  description: Sizes of the files, holes included.
  returned: success
  type: int
  sample: 73400320
vanished:
  description: Names that were gone between listing and opening.
  returned: success
  type: int
  sample: 0
torn:
  description: Files that were written to while they were read.
  returned: success
  type: int
  sample: 1
special:
  description: Sockets, FIFOs and devices, which are not copied; the first 20.
  returned: success
  type: list
  elements: str
special_count:
  description: How many there are.
  returned: success
  type: int
  sample: 0
outside_links:
  description: Links that lead out of the tree; the first 20.
  returned: success
  type: list
  elements: str
outside_links_count:
  description: How many there are.
  returned: success
  type: int
  sample: 0
unowned:
  description: Names whose recorded owner could not be set.
  returned: success
  type: int
  sample: 0
kept_aside:
  description: Where that is now which was there before. V(null) if nothing was.
  returned: success
  type: str
  sample: /var/lib/nuxeo/data_before_20261123T101500Z
duration:
  description: Seconds.
  returned: success
  type: float
  sample: 0.4
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import PROGRESS
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error
from ansible_collections.nuxeo.platform.plugins.module_utils._files.place import copied, restored
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import Progress


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["copied", "restored"], "default": "copied"},
            "src": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "tree_list": {"type": "path"},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "outside_links": {"type": "str", "choices": ["refuse", "keep"], "default": "refuse"},
            "existing": {"type": "str", "choices": ["refuse", "aside", "merge"], "default": "refuse"},
            "keep": {"type": "list", "elements": "path", "default": []},
            "owner": {"type": "str"},
            "group": {"type": "str"},
            **PROGRESS,
        },
        supports_check_mode=True,
    )
    options, check = module.params, module.check_mode
    began = time.monotonic()
    with fail_json_on_error(module), Progress(None if check else options["progress"], "files") as progress:
        result = {"copied": copied, "restored": restored}[options["state"]](options, progress, check)
    for key, text in (
        ("special_count", "sockets, FIFOs or devices were not copied"),
        ("outside_links_count", "links lead out of the folder: what they lead to is not in the copy"),
        ("unowned", "names have another owner than recorded, since this does not run as root"),
    ):
        if result[key]:
            module.warn(f"{options['src']}: {result[key]} {text}")
    module.exit_json(duration=round(time.monotonic() - began, 3), **result)


if __name__ == "__main__":
    main()
