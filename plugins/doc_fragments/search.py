# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How the search engine is reached."""

    DOCUMENTATION = r"""
options:
  url:
    description:
      - REST addresses of the cluster's nodes, for example V(https://search1:9200). A node that does not answer is left
        out for a while.
      - Without it, the addresses are read from O(nuxeo_conf).
      - An address must not hold a user or a password.
    type: list
    elements: str
  url_username:
    description:
      - User for basic authentication.
      - Without it and without O(url_api_key), user and password are read from O(nuxeo_conf) where that is given.
    type: str
  url_password:
    description: Password of O(url_username).
    type: str
  url_api_key:
    description: An API key, encoded as the engine gives it, or as C(id:key).
    type: str
  ca_cert:
    description:
      - PEM file with the certificate of the authority that signed the server's.
      - Without it the authorities known to the Python library C(certifi) or the system are used.
    type: path
  client_cert:
    description: PEM file with the client's certificate, for servers that ask for one.
    type: path
  client_key:
    description: PEM file with the key of O(client_cert), without a passphrase.
    type: path
  validate_certs:
    description: Whether the server's certificate is verified.
    type: bool
    default: true
  timeout:
    description: Seconds that one call waits for its answer. Work that takes longer goes on, and is waited for
      otherwise.
    type: float
    default: 30.0
  retry_timeout:
    description:
      - Seconds for which a call that may be repeated is repeated while no node answers, or while the answer is 429,
        502, 503 or 504.
      - As long as no node has answered at all, a call is tried three times only.
    type: float
    default: 60.0
attributes:
  action_group:  # named before the fragment attributes, whose list of groups is the shorter one
    membership:
      - nuxeo.platform.nuxeo
      - nuxeo.platform.search
requirements:
  - elasticsearch >= 8.0.0 (for its transport, also with OpenSearch)
notes:
  - Works with Elasticsearch 5.6 to 9 and with OpenSearch 1 to 3. No product is shut out.
  - Address, user and password of the instance are looked up in O(nuxeo_conf) on the node, and leave the module in no
    way. Java trust stores and key stores named there are not read. Give PEM files.
"""
