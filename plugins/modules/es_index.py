#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: es_index
short_description: Remove an index of Elasticsearch or OpenSearch
version_added: 1.0.0
description:
  - Removes an index, or every index behind an alias, by its full name. No wildcards.
  - Where O(nuxeo_conf) names several search engines, it is the one of the index of documents.
  - Used by the role P(nuxeo.platform.restore#role) for the index of documents, which Nuxeo rebuilds from the database.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.search
  - nuxeo.platform.attributes
  - nuxeo.platform.nuxeo_conf
  - nuxeo.platform.nuxeo_properties
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the index or alias.
    type: str
    required: true
  state:
    description: The index is not there.
    type: str
    choices: [absent]
    default: absent
"""

EXAMPLES = r"""
- name: Drop the index of documents, to have it rebuilt
  nuxeo.platform.es_index:
    name: nuxeo
    state: absent
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
"""

RETURN = r"""
removed:
  description: The indices that were removed, or would be.
  returned: success
  type: list
  elements: str
  sample: [nuxeo-0001]
"""

from ..module_utils._conf.option import EnvironmentModule
from ..module_utils._errors import fail_json_on_error
from ..module_utils._search import indices
from ..module_utils._search.options import RULES, SEARCH, client_for


def main() -> None:
    module = EnvironmentModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["absent"], "default": "absent"},
            **SEARCH,
        },
        supports_check_mode=True,
        **RULES,
    )
    with fail_json_on_error(module):
        client = client_for(module.params, documents=True)
        removed = sorted(indices.behind(client, module.params["name"]))
        for index in [] if module.check_mode else removed:
            indices.remove(client, index)
    diff = {"before": {"indices": removed}, "after": {"indices": []}}
    module.exit_json(changed=bool(removed), removed=removed, diff=diff)


if __name__ == "__main__":
    main()
