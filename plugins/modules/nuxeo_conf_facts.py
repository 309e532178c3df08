#!/usr/bin/python
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nuxeo_conf_facts
short_description: Resolve nuxeo.conf as Nuxeo's own launcher does, and tell which stores the instance has
version_added: 1.0.0
description:
  - Reads C(nuxeo.conf) and the templates that it names by the rules of the launcher of the installed version. Knows
    the lines 8.10, 9.10, 10.10, 2021, 2023 and 2025.
  - Tells where the database, the blobs, the search engine, the audit, the sequences and the streams of the instance
    are.
  - Writes no file and never runs C(nuxeoctl), which would write to C(nuxeo.conf).
  - Returns no secret, neither by name nor inside a URL, even when it is asked for.
author:
  - Nuxeo Platform collection contributors (@nuxeo)
options:
  path:
    description:
      - The C(nuxeo.conf) of the instance.
      - By default that of the running Nuxeo process, else the one that a systemd unit names, else a known place such as
        C(/etc/nuxeo/nuxeo.conf) or C(bin/nuxeo.conf) below O(home).
    type: path
  home:
    description:
      - E(NUXEO_HOME) of the instance.
      - By default that of the running Nuxeo process, else of its systemd unit, else the folder above that of O(path).
    type: path
  environment:
    description:
      - The environment of the Nuxeo process, for C(${env:NAME}), E(NUXEO_PROFILES) and E(NUXEO_ENVIRONMENT).
      - By default that of the running Nuxeo process, else the one that its systemd unit gives it, completed by the one
        that M(nuxeo.platform.nuxeo_service) has kept when it stopped it. Never that of the shell that runs this module.
      - Of the specifiers of systemd in a unit, C(%n), C(%N), C(%p), C(%i), C(%H), C(%S), C(%C), C(%L), C(%t) and C(%E)
        are known. A variable with another one must be given while Nuxeo does not run and nothing was kept.
    type: dict
  version:
    description:
      - The version of Nuxeo, for example V(2023.31) or V(10.10-HF74).
      - By default read from C(templates/common/config/distribution.properties) below O(home).
    type: str
  properties:
    description:
      - Names or globs of the properties whose resolved values are wanted, for example V(nuxeo.db.*).
      - V(*) gives all but the secrets. A reference that stays open in such a value is left as it is.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - nuxeo.platform.attributes
  - nuxeo.platform.attributes.read_only
notes:
  - The environment of a running process can be read by its own user and by root.
seealso:
  - module: nuxeo.platform.nuxeo_conf
"""

EXAMPLES = r"""
- name: Read the stores of the instance
  nuxeo.platform.nuxeo_conf_facts:
    path: /etc/nuxeo/nuxeo.conf
    home: /opt/nuxeo/server

- name: Show where the database is
  ansible.builtin.debug:
    msg: "{{ ansible_facts.nuxeo.database.kind }} on {{ ansible_facts.nuxeo.database.host }}"

- name: Read the memory settings too
  nuxeo.platform.nuxeo_conf_facts:
    properties:
      - nuxeo.vcs.*
      - JAVA_OPTS
"""

RETURN = r"""
ansible_facts:
  description: What the configuration says.
  returned: success
  type: dict
  contains:
    nuxeo:
      description: The instance on this node.
      type: dict
      returned: success
      contains:
        version:
          description: The version of Nuxeo.
          type: str
          returned: success
          sample: "2023.31"
        conf:
          description: The nuxeo.conf that was read.
          type: str
          returned: success
          sample: /etc/nuxeo/nuxeo.conf
        home:
          description: NUXEO_HOME.
          type: str
          returned: success
          sample: /opt/nuxeo/server
        templates:
          description: The templates in the order taken, by name, or by path when outside of the templates folder.
          type: list
          elements: str
          returned: success
          sample: [common-base, common, postgresql]
        properties:
          description: The resolved values that O(properties) chooses, without secrets.
          type: dict
          returned: success
          sample: {nuxeo.db.host: db1}
        data_dir:
          description: The data folder.
          type: str
          returned: success
          sample: /var/lib/nuxeo/data
        log_dir:
          description: The log folder.
          type: str
          returned: success
          sample: /var/log/nuxeo
        database:
          description:
            - The database of the repository, read from the JDBC URL first. With C(nuxeo.db.xaMode) Nuxeo connects to
              PostgreSQL without that URL, so it is not looked at.
            - C(kind) is V(postgresql), V(h2), V(mysql), V(mariadb), V(oracle), V(mssql), V(db2), V(mongodb) or
              V(other), null where nothing names one.
            - C(host) names all hosts of V(postgresql) with commas between them, and so does C(port) where they differ.
            - C(path) is there for V(h2) only and has no V(.mv.db) at its end. With C(MV_STORE=FALSE) in the URL it
              names the file of the older format, with V(.h2.db).
          type: dict
          returned: success
          sample: {kind: postgresql, host: db1, port: 5432, name: nuxeo, user: nuxeo}
        blobs:
          description:
            - Each blob store.
            - C(kind) is V(file), V(encrypted), V(s3), V(gcs), V(azure), V(gridfs) or V(other).
            - C(bucket) of an object store says where it keeps them, as V(s3:acme-blobs/prod).
            - Stores that only an XML contribution names are not among them.
          type: list
          elements: dict
          returned: success
          sample: [{provider: default, path: /var/lib/nuxeo/data/binaries, kind: file, digest: MD5, depth: 2}]
        search:
          description:
            - The search engine. C(kind) is V(none), V(elasticsearch) or V(opensearch).
            - Of one that is C(embedded) in Nuxeo, C(path) has its data, C(home) its own files, and C(http) says whether
              it answers over HTTP.
          type: dict
          returned: success
          sample: {kind: none}
        audit:
          description:
            - Where the audit is kept, V(elasticsearch), V(sql), V(mongodb), V(memory) or V(other).
            - Beside it its C(index), C(table) or C(collection).
          type: dict
          returned: success
          sample: {kept: sql, table: NXP_LOGS}
        sequences:
          description: Where the numbers of sequences are kept, as in RV(ansible_facts.nuxeo.audit).
          type: dict
          returned: success
          sample: {kept: sql, table: NXP_UIDSEQ}
        streams:
          description:
            - What carries the streams. C(kind) is V(kafka), V(chronicle), V(memory) or V(none).
            - With V(kafka) there are C(bootstrap_servers), C(prefix), C(security) (the protocol in force),
              C(sasl_mechanism), C(truststore) and C(keystore), with V(chronicle) there is C(path).
            - C(big_works), if there, is the folder with the bodies of queued works that are too big for a record.
          type: dict
          returned: success
          sample: {kind: chronicle, path: /var/lib/nuxeo/data/stream}
        cluster:
          description: Whether the instance is a cluster, the id of this node if one is set, and Redis if it is in use.
          type: dict
          returned: success
          sample: {enabled: false, id: null, redis: null}
        unread:
          description:
            - Properties that the files of the server have otherwise, of those that say where data is.
            - Empty unless C(nuxeo.force.generation) is not true and C(nuxeo.conf) was changed after they were made.
          type: list
          elements: str
          returned: success
          sample: []
        pending_restart:
          description:
            - Properties that the running server has otherwise until it is started anew, of those that say where data
              is.
            - Empty unless C(nuxeo.conf), or a template that it names, was changed after the start.
          type: list
          elements: str
          returned: success
          sample: []
        key_problems:
          description:
            - What keeps this user from reading a key file that a property names and without which encrypted blobs or
              values could not be read again.
          type: list
          elements: str
          returned: success
          sample: []
"""

from ansible_collections.nuxeo.platform.plugins.module_utils._conf.facts import facts
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.option import EnvironmentModule
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve
from ansible_collections.nuxeo.platform.plugins.module_utils._errors import fail_json_on_error


def main() -> None:
    module = EnvironmentModule(
        "environment",
        argument_spec={
            "path": {"type": "path"},
            "home": {"type": "path"},
            "environment": {"type": "dict"},
            "version": {"type": "str"},
            "properties": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given = module.params
    with fail_json_on_error(module):
        configuration = resolve(given["path"], given["home"], given["environment"], given["version"])
        found = {"ansible_facts": {"nuxeo": facts(configuration, given["properties"])}}
        module.exit_json(changed=False, **module.whole("Reading of the facts of Nuxeo", found))


if __name__ == "__main__":
    main()
