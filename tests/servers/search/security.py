# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins and certificates of the servers of tests: TLS and basic authentication by what is in the zips."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import typing as t

if t.TYPE_CHECKING:
    from servers.search.engines import Engine

PASSWORD = "s3cret-pw"
PASSWORD_BCRYPT = "$2b$04$nuxeoPlatformTestsSale0NtLspau74/iKj2ehbL6KTZY4Vlnl46"


def make_certificates(folder: pathlib.Path) -> None:
    """A CA, a server's certificate for localhost and a client's; PEM files with plain names."""

    def openssl(*argv: str) -> None:
        subprocess.run(["openssl", *argv], check=True, capture_output=True, cwd=folder)

    new = ["-newkey", "rsa:2048", "-nodes"]
    openssl("req", "-x509", *new, "-days", "30", "-subj", "/CN=Test CA", "-keyout", "ca.key", "-out", "ca.crt")
    (folder / "node.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    (folder / "client.ext").write_text("extendedKeyUsage=clientAuth\n")
    for name, subject in (("node", "/CN=localhost"), ("client", "/CN=backup")):
        openssl("req", *new, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signing = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", f"{name}.ext"]
        openssl("x509", "-req", "-in", f"{name}.csr", "-days", "30", *signing, "-out", f"{name}.crt")


def _file_realm_line(user: str) -> str:
    """A line of x-pack's ``users`` file (PBKDF2, SHA-512)."""
    salt = os.urandom(32)
    key = hashlib.pbkdf2_hmac("sha512", PASSWORD.encode(), salt, 10000, 32)
    return f"{user}:{{PBKDF2}}10000${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}\n"


ROLES = """snapshotter:
  cluster: [monitor, 'cluster:admin/repository/*', 'cluster:admin/snapshot/*']
  indices:
    - names: ['nuxeo-audit*', 'nuxeo-uidgen*']
      privileges: [all]
reader:
  cluster: [monitor, 'cluster:admin/repository/get', 'cluster:admin/snapshot/get', 'cluster:admin/snapshot/status']
  indices:
    - names: ['nuxeo-audit*', 'nuxeo-uidgen*']
      privileges: [read, view_index_metadata, monitor]
"""


def xpack(engine: Engine, *, tls: bool, client_auth: bool) -> dict[str, t.Any]:
    """Settings of x-pack."""
    out: dict[str, t.Any] = {"xpack.security.enabled": tls}
    if engine.major >= 8:
        out["xpack.security.enrollment.enabled"] = False
    if tls:
        out["xpack.security.http.ssl.enabled"] = True
        out["xpack.security.http.ssl.key"] = "node.key"
        out["xpack.security.http.ssl.certificate"] = "node.crt"
        out["xpack.security.http.ssl.certificate_authorities"] = ["ca.crt"]
        if client_auth:
            out["xpack.security.http.ssl.client_authentication"] = "required"
    return out


def security_plugin(*, client_auth: bool) -> dict[str, t.Any]:
    """Settings of the plugin opensearch-security."""
    out: dict[str, t.Any] = {
        "plugins.security.allow_default_init_securityindex": True,
        "plugins.security.ssl.transport.enforce_hostname_verification": False,
        "plugins.security.ssl.http.enabled": True,
        "plugins.security.nodes_dn": ["CN=localhost"],
        "plugins.security.authcz.admin_dn": ["CN=nobody-has-this"],
    }
    if client_auth:
        out["plugins.security.ssl.http.clientauth_mode"] = "REQUIRE"
    for layer in ("transport", "http"):
        out[f"plugins.security.ssl.{layer}.pemcert_filepath"] = "node.crt"
        out[f"plugins.security.ssl.{layer}.pemkey_filepath"] = "node.key"
        out[f"plugins.security.ssl.{layer}.pemtrustedcas_filepath"] = "ca.crt"
    return out


def write_files(engine: Engine, config: pathlib.Path, *, certificates: pathlib.Path, home: pathlib.Path) -> None:
    """What a node finds in its configuration folder."""
    for name in ("ca.crt", "node.crt", "node.key"):
        shutil.copy(certificates / name, config)
    if engine.xpack:
        (config / "users").write_text("".join(map(_file_realm_line, ("backup", "snap", "reader", "guest"))))
        (config / "users_roles").write_text("superuser:backup\nsnapshotter:snap\nreader:reader\n")
        return
    _write_plugin_files(config / "opensearch-security", home)


def _write_plugin_files(folder: pathlib.Path, home: pathlib.Path) -> None:
    shutil.copytree(home / "plugins" / "opensearch-security" / "config", folder)
    see = ["cluster_monitor", *(f"cluster:admin/{what}/get" for what in ("repository", "snapshot"))]
    look = ["read", "indices:monitor/stats", "indices:admin/get", "indices:admin/aliases/get"]
    whole = ["cluster_monitor", "cluster:admin/repository/*", "cluster:admin/snapshot/*", "indices:data/write/bulk"]

    def role(cluster: list[str], on_indices: list[str]) -> dict[str, t.Any]:
        granted = {"index_patterns": ["nuxeo-audit*", "nuxeo-uidgen*"], "allowed_actions": on_indices}
        return {"cluster_permissions": cluster, "index_permissions": [granted]}

    users = {
        "backup": {"hash": PASSWORD_BCRYPT, "reserved": True, "backend_roles": ["admin"]},
        "snap": {"hash": PASSWORD_BCRYPT, "backend_roles": ["snapshotter"]},
        "reader": {"hash": PASSWORD_BCRYPT, "backend_roles": ["reader"]},
        "guest": {"hash": PASSWORD_BCRYPT},
    }
    mapping = {name: {"backend_roles": [name]} for name in ("snapshotter", "reader")}
    roles = {"snapshotter": role(whole, ["*"]), "reader": role([*see, "cluster:admin/snapshot/status"], look)}
    for name, kind, content in (
        ("internal_users", "internalusers", users),
        ("roles", "roles", roles),
        ("roles_mapping", "rolesmapping", {"all_access": {"reserved": True, "backend_roles": ["admin"]}, **mapping}),
    ):
        meta = {"_meta": {"type": kind, "config_version": 2}}
        (folder / f"{name}.yml").write_text(json.dumps({**meta, **content}))
