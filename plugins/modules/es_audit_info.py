#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: es_audit_info
short_description: Tell which indices of a Nuxeo instance have to be saved by snapshot, and what stands in the way
version_added: 1.0.0
description:
  - Says which indices hold what is nowhere else, the audit log and the sequences, by the facts of the instance.
  - Looks at all that a snapshot of them needs, the indices, the repository, C(path.repo) of every node of the engine
    and the folder, and returns every problem. It fails for none, so that the caller can tell them with others.
  - Used by the role P(nuxeo.platform.backup#role).
author:
  - Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.search
  - nuxeo.platform.attributes
  - nuxeo.platform.attributes.read_only
  - nuxeo.platform.nuxeo_conf
  - nuxeo.platform.nuxeo_properties
options:
  facts:
    description: What M(nuxeo.platform.nuxeo_conf_facts) told of the node.
    type: dict
    required: true
  left_out:
    description: Ids of stores that are saved by other means, for example V(sequences:elasticsearch).
    type: list
    elements: str
    default: []
  name:
    description: Name of the repository of the instance, which need not be there yet.
    type: str
    required: true
  location:
    description: Folder of that repository.
    type: path
    required: true
  opened:
    description: A folder above O(location) that will be made passable before the repository is used.
    type: path
  owner:
    description: The user as which the engine runs, a name or a number.
    type: str
    default: ""
  embedded_open:
    description: Whether an engine inside of Nuxeo answers over HTTP now. Otherwise nothing of it can be saved.
    type: bool
    default: false
  repository:
    description: Name of a repository that somebody else has registered and that is to be used instead.
    type: str
    default: ""
seealso:
  - module: nuxeo.platform.es_repository
  - module: nuxeo.platform.es_snapshot
"""

EXAMPLES = r"""
- name: See whether the audit can be saved
  nuxeo.platform.es_audit_info:
    facts: "{{ ansible_facts.nuxeo }}"
    name: nuxeo-acme
    location: /backup/acme/audit
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
  register: audit
"""

RETURN = r"""
names:
  description: RV(indices) by what they hold.
  returned: success
  type: dict
  sample:
    audit: nuxeo-audit
    sequences: nuxeo-uidgen
indices:
  description: Names of what is to be saved, indices or aliases. Empty where audit and sequences are kept elsewhere, and
    where the engine is embedded in Nuxeo and not open.
  returned: success
  type: list
  elements: str
  sample: [nuxeo-audit, nuxeo-uidgen]
sequences:
  description: That one of RV(indices) which holds the sequences, or an empty string.
  returned: success
  type: str
  sample: nuxeo-uidgen
repository:
  description: The repository to use.
  returned: success
  type: str
  sample: nuxeo-acme
own:
  description: Whether it is O(name), not O(repository).
  returned: success
  type: bool
location:
  description: As O(location).
  returned: success
  type: str
owner:
  description: O(owner), else the user of the engine's packages where the node has it, else an empty string.
  returned: success
  type: str
  sample: elasticsearch
problems:
  description: Each thing that stands in the way, a sentence.
  returned: success
  type: list
  elements: str
"""

from ..module_utils._conf.option import EnvironmentModule
from ..module_utils._search import instance
from ..module_utils._search.options import RULES, SEARCH, client_for


def main() -> None:
    module = EnvironmentModule(
        argument_spec={
            "facts": {"type": "dict", "required": True},
            "left_out": {"type": "list", "elements": "str", "default": []},
            "name": {"type": "str", "required": True},
            "location": {"type": "path", "required": True},
            "opened": {"type": "path"},
            "owner": {"type": "str", "default": ""},
            "embedded_open": {"type": "bool", "default": False},
            "repository": {"type": "str", "default": ""},
            **SEARCH,
        },
        supports_check_mode=True,
        **RULES,
    )
    found = instance.look(module.params, lambda: client_for(module.params))
    for warning in found.pop("warnings"):
        module.warn(warning)
    module.exit_json(changed=False, **module.whole("Look at the audit's engine", found))


if __name__ == "__main__":
    main()
