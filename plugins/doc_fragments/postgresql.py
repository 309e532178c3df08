# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of modules that log in to PostgreSQL; with those of nuxeo.platform.nuxeo_conf, where the rest is read."""

    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - The server's host name or address, or the folder of its socket.
      - Several with commas between them are tried in turn, as libpq does. Which of them is meant says the JDBC URL in
        O(nuxeo_conf), C(targetServerType=primary).
      - A pooler has to give each client a session. One that gives them to transactions is refused, since what is set in
        a session would stay there for others.
      - Default is the one in O(nuxeo_conf), else the local socket.
    type: str
  login_port:
    description:
      - The server's port. With several hosts one for all of them, or as many with commas between them.
      - Default is the one in O(nuxeo_conf), else 5432.
    type: str
  login_user:
    description:
      - The role to log in as. The owner of the database can do all that is needed.
      - Default is the one in O(nuxeo_conf).
    type: str
  login_password:
    description:
      - Its password. No process gets it as an argument.
      - Default is the one in O(nuxeo_conf), as long as the user is the one there.
    type: str
  ssl_mode:
    description:
      - How TLS is used, as libpq names it.
      - Default is what the JDBC URL in O(nuxeo_conf) says, else libpq's own default.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  ca_cert:
    description:
      - A file of certificate authorities in PEM form, against which the server's certificate is verified.
      - Default is what the JDBC URL in O(nuxeo_conf) says, else libpq's own default. Where there is no such file and
        the URL wants the certificate verified, it is the file of those whom the system trusts.
    type: path
  connect_timeout:
    description: How many seconds to wait for the server to answer.
    type: int
    default: 10
"""
