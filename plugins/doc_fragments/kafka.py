# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How a Kafka cluster is reached."""

    DOCUMENTATION = r"""
options:
  bootstrap_servers:
    description:
      - Brokers to begin with, each as V(host:port).
      - Default is C(kafka.bootstrap.servers) of O(nuxeo_conf).
    type: list
    elements: str
  security_protocol:
    description:
      - How to speak to the brokers.
      - Default is what Nuxeo itself does with O(nuxeo_conf), which only heeds C(kafka.security.protocol) when
        C(kafka.sasl.enabled) is set. Without O(nuxeo_conf) it is V(PLAINTEXT).
    type: str
    choices: [PLAINTEXT, SASL_PLAINTEXT, SASL_SSL, SSL]
  sasl_mechanism:
    description: How to log in. Default is C(kafka.sasl.mechanism) of O(nuxeo_conf).
    type: str
    choices: [PLAIN, SCRAM-SHA-256, SCRAM-SHA-512]
  sasl_username:
    description: The user to log in as. Default is read from C(kafka.sasl.jaas.config) of O(nuxeo_conf).
    type: str
  sasl_password:
    description: The password of O(sasl_username). Default is read from C(kafka.sasl.jaas.config) of O(nuxeo_conf).
    type: str
  ssl_cafile:
    description:
      - Certificates of the authorities to trust, PEM.
      - Default is the trust store of C(kafka.truststore.*) of O(nuxeo_conf), converted by C(keytool) unless it is PEM.
    type: path
  ssl_certfile:
    description:
      - This client's certificate, PEM.
      - Default is the key store of C(kafka.keystore.*) of O(nuxeo_conf), converted by C(keytool) where it is JKS.
    type: path
  ssl_keyfile:
    description: The private key of O(ssl_certfile), PEM.
    type: path
  ssl_key_password:
    description: The password of O(ssl_keyfile).
    type: str
  ssl_check_hostname:
    description: Whether the name in the broker's certificate must be the one that it was reached by.
    type: bool
    default: true
  extra_config:
    description:
      - Further settings of librdkafka, the client library's core, by its names.
      - A secret is refused here, since it would be shown in results.
    type: dict
  timeout:
    description: The deadline of every single question to a cluster, in seconds. A silent broker never holds a task
      longer.
    type: float
    default: 30.0
requirements:
  - confluent-kafka >= 2.5.0 (Python library, on the host that runs the module)
  - C(keytool) where a Java key or trust store has to be converted, in E(JAVA_HOME) of Nuxeo or of the user, else on
    E(PATH)
"""
