#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_marker
short_description: Mark a data folder as being restored, or as restored
description:
  - Writes C(.nuxeo-platform-restore.json) into the data folder. It says which set the folder holds and how far the
    restore came.
  - Beginning a restore moves what lies in the folder into a folder of its own beside the marker. What a mount point in
    it holds goes into a folder of the same name in that. Nothing is deleted.
  - Used by the role P(nuxeo.platform.restore#role).
version_added: 1.0.0
author: Nuxeo Platform collection contributors (@nuxeo)
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.nuxeo_conf
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Each run writes the time.
options:
  data_dir:
    description: The data folder. It is made when it is absent.
    type: path
    required: true
  state:
    description:
      - V(begun) moves what is there aside and marks the folder as unfinished.
      - V(finished) marks the folder as restored, and notes what will show whether anybody has changed the database
        since.
        With PostgreSQL that takes eleven seconds in which nothing may change, with H2 six, forty-five at most.
        A copy of an H2 file is read by the H2 of the instance, since H2 writes to its file by itself, with no change of
        what it holds, for about a minute after a server has opened it.
      - V(reindexed) notes that the index of documents, which O(reindex) has told of, is being rebuilt.
    type: str
    choices: [begun, finished, reindexed]
    required: true
  set:
    description: The id of the set. Required with O(state=begun).
    type: str
  instance:
    description: The instance whose set it is. Required with O(state=begun).
    type: str
  run:
    description: What tells this run from others. Required with O(state=begun).
    type: str
  streams:
    description:
      - With O(state=begun), where the streams of Kafka go, with C(prefix), C(source) and C(state) as
        M(nuxeo.platform.restore_streams_plan) told them.
    type: dict
  resumes:
    description:
      - With O(state=begun), whether this goes on with an unfinished restore that is noted there, and keeps what that
        has noted. Not so where somebody has let the server be started since.
    type: bool
    default: true
  replaces:
    description:
      - With O(state=begun), which database, indices and blob stores are replaced, in words without secrets. While the
        restore is unfinished another run may replace these, and no others, without being told to overwrite.
    type: dict
  database:
    description:
      - With O(state=finished), whether to note the state of the database. Other nodes than the one that has restored it
        do not.
    type: bool
    default: true
  restored:
    description:
      - With O(state=finished), what M(nuxeo.platform.postgresql_restore) has told in
        RV(nuxeo.platform.postgresql_restore#module:fingerprint). Its owner and privileges are noted with the state of
        the database, and so a restore that is asked for others knows that it has to be done.
    type: dict
  reindex:
    description: With O(state=finished), whether the server is still to be asked to rebuild its index of documents.
    type: bool
    default: false
  folder:
    description:
      - With O(state=begun), C(owner), C(group) and C(mode) of the data folder if it is made, as
        RV(nuxeo.platform.restore_plan#module:folder) told them. An owner that is not given is the one who runs this.
    type: dict
    suboptions:
      owner:
        description: Its name or number.
        type: str
      group:
        description: Its name or number.
        type: str
      mode:
        description: The mode, octal.
        type: str
        default: "0750"
  keep:
    description: Blob stores that stay where they are, links below O(data_dir) that lead to them too.
    type: list
    elements: path
    default: []
  emptied:
    description: Those of O(keep) whose blobs are moved aside, to a folder C(.nuxeo-platform-before-*) in the store.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Begin
  nuxeo.platform.restore_marker:
    data_dir: /var/lib/nuxeo/data
    state: begun
    set: 20261123T020004Z
    instance: acme
    run: 7f3a
"""

RETURN = r"""
marker:
  description: The marker as it was written.
  returned: success
  type: dict
kept_aside:
  description: The folder that holds what was in the data folder, or null.
  returned: success
  type: str
"""

import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._argspec import NUXEO_CONF
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set import marker
from ansible_collections.nuxeo.platform.plugins.module_utils._backup_set.fingerprint import (
    h2_request,
    of_h2,
    of_postgresql,
)
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.login import database_login
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._database.h2 import shell_of
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error

FOLDER: dict[str, dict[str, t.Any]] = {
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "mode": {"type": "str", "default": "0750"},
}
KEPT = ("set", "instance", "run", "streams", "replaces")


def of_database(module: EnvironmentModule) -> dict[str, t.Any]:
    """The fingerprint of the instance's database."""
    p = module.params
    login = database_login(
        p["nuxeo_conf"], p["nuxeo_home"], p["nuxeo_environment"], p["nuxeo_version"], ignore_guard=True
    )
    if login.kind == "h2" and login.path:
        return of_h2(h2_request(login, login.path, p["nuxeo_home"]), shell_of(module), module.warn)
    return of_postgresql(p)


def main() -> None:
    """Ansible calls this."""
    module = EnvironmentModule(
        argument_spec={
            "data_dir": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["begun", "finished", "reindexed"], "required": True},
            "set": {"type": "str"},
            "instance": {"type": "str"},
            "run": {"type": "str"},
            "streams": {"type": "dict"},
            "resumes": {"type": "bool", "default": True},
            "replaces": {"type": "dict"},
            "database": {"type": "bool", "default": True},
            "restored": {"type": "dict"},
            "reindex": {"type": "bool", "default": False},
            "folder": {"type": "dict", "options": FOLDER},
            "keep": {"type": "list", "elements": "path", "default": []},
            "emptied": {"type": "list", "elements": "path", "default": []},
            **NUXEO_CONF,
        },
        required_if=[("state", "begun", ("set", "instance", "run"))],
        supports_check_mode=True,
    )
    p = module.params
    with fail_json_on_error(module):
        if module.check_mode:
            written = marker.read_marker(p["data_dir"]) or {}
        elif p["state"] == "begun":
            begun = {key: p[key] for key in KEPT}
            written = marker.begin(p["data_dir"], begun, p["keep"], p["emptied"], p["resumes"], p["folder"])
        elif p["state"] == "reindexed":
            written = marker.note(p["data_dir"], {"reindex": False})
        else:
            database = {**(p["restored"] or {}), **of_database(module)} if p["database"] else None
            finished = {"status": "finished", "database": database, "reindex": p["reindex"]}
            written = marker.note(p["data_dir"], finished)
    module.exit_json(changed=True, marker=written, kept_aside=written.get("kept_aside"))


if __name__ == "__main__":
    main()
