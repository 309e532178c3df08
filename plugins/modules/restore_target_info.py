#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_target_info
short_description: Tell the target of a restore as it will be once its properties are set
description:
  - Resolves C(nuxeo.conf) as it would be with O(properties), and reads what an earlier restore has noted in the data
    folder.
  - Used by the role P(nuxeo.platform.restore#role).
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.attributes.read_only
  - nuxeo.platform.nuxeo_conf
options:
  properties:
    description: Properties that the restore will set in C(nuxeo.conf). Without secrets.
    type: dict
    default: {}
  blob_stores:
    description:
      - Blob stores that C(nuxeo.conf) does not name, as for O(nuxeo.platform.backup_preflight#module:blob_stores).
    type: list
    elements: dict
    default: []
  service:
    description: How the server will be started, as O(nuxeo.platform.nuxeo_service#module:name). Without it nothing is
      said of that.
    type: str
notes:
  - A C(nuxeo.conf) that an unfinished restore keeps from being used is read as if it were not.
seealso:
  - module: nuxeo.platform.nuxeo_conf_facts
  - module: nuxeo.platform.nuxeo_conf
"""

EXAMPLES = r"""
- name: Where would a clone go
  nuxeo.platform.restore_target_info:
    nuxeo_conf: /etc/nuxeo/nuxeo.conf
    properties:
      nuxeo.db.name: nuxeo_test
      nuxeo.data.dir: /var/lib/nuxeo_test
  register: place
"""

RETURN = r"""
target:
  description:
    - The facts of the target, as RV(nuxeo.platform.nuxeo_conf_facts#module:ansible_facts.nuxeo).
    - C(regenerates) says whether the next start of Nuxeo reads C(nuxeo.conf), or goes on with the files that were
      generated before; C(unread) names the properties that it would not see then.
    - C(by_url) says whether Nuxeo connects by C(nuxeo.db.jdbc.url), or, with C(nuxeo.db.xaMode), by the single
      properties.
    - C(unset) names those of O(properties) that C(nuxeo.conf) does not have so yet; C(guarded) says whether a restore
      keeps the server from being started.
  returned: success
  type: dict
marker:
  description:
    - What M(nuxeo.platform.restore_marker) has written there. Empty for a folder without a marker.
    - C(status) is V(left) instead of V(begun) where C(nuxeo.conf) does not keep the server from being started any more,
      so that what is there now may be of others.
  returned: success
  type: dict
occupied:
  description: What the data folder holds beside what restores have left there. Empty for one that is absent.
  returned: success
  type: list
  elements: str
fixed:
  description:
    - Why C(nuxeo.conf) cannot be changed, which a restore has to. Empty when it can.
    - So too which of O(properties) do not say where the database is, since a C(nuxeo.db.jdbc.url) does, or
      which URL does not, since C(nuxeo.db.xaMode) is set, and that the server would not read them, since
      C(nuxeo.force.generation) is not true.
    - So too why O(service) could not start the server.
    - So too which volumes that C(/etc/fstab) has, of the data folder and of blob stores, are not mounted on this node.
  returned: success
  type: list
  elements: str
unchanged:
  description:
    - Whether an H2 database is as it was when the restore had finished. Where its file is not, a copy of it is read by
      the H2 of the instance.
    - V(false) for PostgreSQL, which M(nuxeo.platform.postgresql_restore) asks itself.
  returned: success
  type: bool
"""

from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import NUXEO_CONF
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.fingerprint import h2_request, is_same_h2
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.folders import away_problems, conf_problems
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.marker import read_marker
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.plan import LISTED, occupied
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.guard import is_armed
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.login import database_login
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.preview import facts_with, without_effect
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.secrets import in_properties
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.service import Service, runner
from ansible_collections.nuxeo.platform.plugins.module_utils._database.h2 import shell_of
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def main() -> None:
    """Ansible calls this."""
    module = EnvironmentModule(
        argument_spec={
            **NUXEO_CONF,
            "properties": {"type": "dict", "default": {}},
            "blob_stores": {"type": "list", "elements": "dict", "default": []},
            "service": {"type": "str"},
        },
        secrets=lambda params: in_properties(params.get("properties")),
        supports_check_mode=True,
    )
    p = module.params
    with fail_json_on_error(module):
        conf = p["nuxeo_conf"], p["nuxeo_home"], p["nuxeo_environment"], p["nuxeo_version"]
        target = facts_with(p["properties"], *conf)
        marker = read_marker(target["data_dir"]) or {}
        if marker.get("status") == "begun" and not is_armed(target["conf"]):
            marker["status"] = "left"
        found = occupied(target["data_dir"])
        fixed = conf_problems(target["conf"]) + without_effect(p["properties"], target)
        fixed += away_problems(target, p["blob_stores"])
        if p["service"]:
            fixed += Service(p["service"], resolve(*conf, ignore_guard=True), runner(module), 0).problems()
        unchanged, path = False, target["database"].get("path")
        if path and marker.get("status") == "finished":
            login = database_login(*conf, properties=p["properties"], ignore_guard=True)
            request = h2_request(login, path, target["home"])
            unchanged = is_same_h2(marker["database"], request, shell_of(module), module.warn)
    told = {"target": target, "marker": marker, "occupied": found[:LISTED], "fixed": fixed}
    module.exit_json(changed=False, unchanged=unchanged, **module.whole("Look at the target", told))


if __name__ == "__main__":
    main()
