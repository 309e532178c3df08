#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nuxeo_conf_copy
short_description: Save the files of a Nuxeo configuration, or put them back
version_added: 1.0.0
description:
  - Saves C(nuxeo.conf), the templates that are taken, C(templates/nuxeo.defaults), and the key files, keystores and
    truststores that properties name, into a folder that only its owner can read.
  - The other way, puts such files back to their places. What differs there is kept aside under its name with
    C(.before-) and the time behind it. Where C(nuxeo.conf) is a link, that is done to the file that it leads to.
  - Templates that came with a Nuxeo of another version of the same line stay, for they belong to its programs. Nothing
    is put back where Nuxeo runs with that C(nuxeo.conf).
author:
  - Nuxeo Platform collection contributors (@nuxeo)
options:
  dest:
    description:
      - The folder to save to, absent or empty.
    type: path
  src:
    description:
      - The folder of a saved configuration that is to be put back.
    type: path
  parts:
    description:
      - What is put back. By default not C(nuxeo.conf) itself, for it says what the target is.
      - What lay below the saved E(NUXEO_HOME) comes below that of the target, all else to where it was.
    type: list
    elements: str
    choices: [conf, keys, templates]
    default: [keys, templates]
  owner:
    description:
      - The owner of what is put back, by default the saved one.
    type: str
  group:
    description:
      - The group of what is put back, by default the saved one.
    type: str
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.nuxeo_conf
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: The files may hold secrets.
  idempotent:
    support: partial
    details: Putting back is idempotent. Saving needs an absent or empty folder.
seealso:
  - module: nuxeo.platform.nuxeo_conf
  - module: nuxeo.platform.file_tree_copy
"""

EXAMPLES = r"""
- name: Save the configuration
  nuxeo.platform.nuxeo_conf_copy:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    dest: /srv/backup/nuxeo-conf

- name: Put its templates and key files back
  nuxeo.platform.nuxeo_conf_copy:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    nuxeo_home: /opt/nuxeo/server
    src: /srv/backup/nuxeo-conf
"""

RETURN = r"""
parts:
  description: What was saved, or is saved in O(src), with its place on the node.
  type: list
  elements: dict
  returned: success
  sample: [{name: nuxeo.conf, path: /etc/nuxeo/nuxeo.conf, kind: conf, folder: false}]
files:
  description: How many files were saved.
  type: int
  returned: success
  sample: 112
bytes:
  description: How many bytes were saved.
  type: int
  returned: success
  sample: 402113
restored:
  description: The places that were put back since they differed.
  type: list
  elements: str
  returned: success
  sample: [/opt/nuxeo/server/templates/custom]
kept_aside:
  description: What was there before, under its new name.
  type: list
  elements: str
  returned: success
  sample: [/opt/nuxeo/server/templates/custom.before-20261123T020004Z]
left:
  description: Templates that differ and stay, since the installed Nuxeo is of another version than the saved one.
  type: list
  elements: str
  returned: success
  sample: [/opt/nuxeo/server/templates/common]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import NUXEO_CONF
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.copy import Restorer, save
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.locate import locate
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.parts import parts
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def _save(module: AnsibleModule) -> dict[str, t.Any]:
    given = module.params
    conf = given["nuxeo_conf"], given["nuxeo_home"], given["nuxeo_environment"], given["nuxeo_version"]
    configuration = resolve(*conf)
    if module.check_mode:
        found, files, size = parts(configuration), 0, 0
    else:
        found, files, size = save(configuration, given["dest"])
    shown = [part.as_json() for part in found]
    saved = {"changed": True, "parts": shown, "files": files, "bytes": size}
    return {**saved, "restored": [], "kept_aside": [], "left": []}


def _restore(module: AnsibleModule) -> dict[str, t.Any]:
    given = module.params
    place = locate(given["nuxeo_conf"], given["nuxeo_home"], given["nuxeo_environment"] or {})
    restorer = Restorer(given["src"], place, given["owner"], given["group"], module.check_mode, given["nuxeo_version"])
    result = restorer.restore(given["parts"])
    return {
        "changed": bool(result.changed),
        "parts": [part.as_json() for part in restorer.parts],
        "files": 0,
        "bytes": 0,
        "restored": sorted(result.changed),
        "kept_aside": sorted(result.kept_aside),
        "left": sorted(result.left),
    }


def main() -> None:
    module = EnvironmentModule(
        argument_spec={
            **NUXEO_CONF,
            "dest": {"type": "path"},
            "src": {"type": "path"},
            "parts": {
                "type": "list",
                "elements": "str",
                "choices": ["conf", "keys", "templates"],
                "default": ["keys", "templates"],
            },
            "owner": {"type": "str"},
            "group": {"type": "str"},
        },
        required_one_of=[("dest", "src")],
        mutually_exclusive=[("dest", "src")],
        supports_check_mode=True,
    )
    with fail_json_on_error(module):
        module.exit_json(**(_save(module) if module.params["dest"] else _restore(module)))


if __name__ == "__main__":
    main()
