#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_node_info
short_description: Tell which folders of a node a backup copies, and what is wrong with them there
description:
  - Looks at the data folder and the blob stores as this node sees them. A volume may be away on one node alone.
  - Used by the role P(nuxeo.platform.backup#role).
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.attributes.read_only
options:
  facts:
    description: The instance on this node, RV(nuxeo.platform.nuxeo_conf_facts#module:ansible_facts.nuxeo).
    type: dict
    required: true
  blob_stores:
    description:
      - Blob stores that nuxeo.conf does not name, as for O(nuxeo.platform.backup_preflight#module:blob_stores).
    type: list
    elements: dict
    default: []
  exclude:
    description: Further parts of the data folder that are not to be saved, as globs relative to it.
    type: list
    elements: str
    default: []
seealso:
  - module: nuxeo.platform.backup_preflight
"""

EXAMPLES = r"""
- name: Look at the folders of this node
  nuxeo.platform.backup_node_info:
    facts: "{{ ansible_facts.nuxeo }}"
  register: look
"""

RETURN = r"""
trees:
  description: The folders to copy from this node, with the parts that are left out.
  returned: success
  type: list
  elements: dict
problems:
  description: Which folders are missing or empty, or have nothing mounted where C(/etc/fstab) has a volume.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.preflight import look
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def main() -> None:
    """Ansible calls this."""
    module = AnsibleModule(
        argument_spec={
            "facts": {"type": "dict", "required": True},
            "blob_stores": {"type": "list", "elements": "dict", "default": []},
            "exclude": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    with fail_json_on_error(module):
        found = look(module.params["facts"], module.params["blob_stores"], module.params["exclude"])
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
