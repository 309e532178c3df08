# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how to log in to PostgreSQL, read on the node, told to clients without showing it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import tempfile
import typing as t
import urllib.parse

from .._argspec import NUXEO_CONF, Spec
from .error import DatabaseError

LOGIN: Spec = {
    "login_host": {"type": "str"},
    "login_port": {"type": "str"},
    "login_user": {"type": "str"},
    "login_password": {"type": "str", "no_log": True},
    "ssl_mode": {"type": "str", "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]},
    "ca_cert": {"type": "path"},
    "connect_timeout": {"type": "int", "default": 10},
    **NUXEO_CONF,
}
"""Doc fragments nuxeo.platform.postgresql and nuxeo.platform.nuxeo_conf."""

ALIVE = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "6"}
"""A peer that vanished is noticed after a minute and a half, and no firewall forgets a connection that only waits."""

CALLERS = tuple(
    "PG" + name
    for name in (
        *("HOST", "HOSTADDR", "PORT", "DATABASE", "USER", "PASSWORD", "OPTIONS", "SERVICE", "SERVICEFILE", "APPNAME"),
        *("TARGETSESSIONATTRS", "CLIENTENCODING", "TZ", "DATESTYLE", "GEQO"),
    )
)
"""Variables of the caller's shell that would lead libpq elsewhere than the options say."""

SSL = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "channelBinding", "targetServerType", "gssEncMode")


@dataclasses.dataclass(frozen=True)
class PostgresLogin:
    """Where a database is and who logs in. The password is in no representation."""

    host: str
    """Several with commas between them: libpq takes the first that it may, see ``target_session_attrs``."""
    port: str
    """One for all hosts, or as many."""
    name: str
    user: str
    password: str = dataclasses.field(repr=False, default="")
    extra: t.Mapping[str, str] = dataclasses.field(repr=False, default_factory=dict)
    search_path: str = ""
    """What Nuxeo's driver sets itself, whatever is set for the user."""

    @property
    def where(self) -> str:
        """``host:port``, for messages."""
        hosts, ports = self.host.split(","), self.port.split(",")
        pairs = zip(hosts, ports if len(ports) > 1 else ports * len(hosts))
        return ",".join(f"{host or 'the local socket'}:{port or '5432'}" for host, port in pairs)

    @property
    def subject(self) -> str:
        """The database, for messages."""
        return f"database '{self.name}' on {self.where}"

    def keywords(self) -> dict[str, str]:
        """What libpq is told, without the password."""
        given = {"host": self.host, "port": self.port, "user": self.user, "dbname": self.name}
        return {key: value for key, value in {**given, **ALIVE, **self.extra}.items() if value}

    def conninfo(self) -> str:
        """The same for a client program's ``--dbname``."""
        words = self.keywords()
        words.pop("sslpassword", None)
        return " ".join(f"{key}={_quoted(value)}" for key, value in sorted(words.items()))

    def to(self, name: str) -> PostgresLogin:
        """The same login on another database."""
        return dataclasses.replace(self, name=name)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@contextlib.contextmanager
def passfile(login: PostgresLogin) -> t.Iterator[dict[str, str]]:
    """The environment that tells child processes a 0600 password file, gone with this process whatever ends it.

    It is a file in memory that has no name on any disk. Where the system has none, it is a temporary file. The
    variable is known to every libpq, the keyword of the same meaning from 10 on.
    """
    if not login.password:
        yield {}
        return
    line = passfile_line(login)
    descriptor, path = _memory()
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, line.encode())
        yield {"PGPASSFILE": path}
    finally:
        os.close(descriptor)
        if not path.startswith("/proc/"):
            os.unlink(path)


def passfile_line(login: PostgresLogin) -> str:
    """The password as a password file has it, for whatever host, port, database and user."""
    if "\n" in login.password or "\r" in login.password:
        raise DatabaseError(f"Login to {login.subject}", "the password holds a line break", "Set another password")
    return "*:*:*:*:" + login.password.replace("\\", "\\\\").replace(":", "\\:") + "\n"


def _memory() -> tuple[int, str]:
    with contextlib.suppress(AttributeError, OSError):
        descriptor = os.memfd_create("pgpass")
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        if os.path.isfile(path):
            return descriptor, path
        os.close(descriptor)
    return tempfile.mkstemp(prefix="pgpass-")


def _given(url: str) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(url.partition("?")[2], keep_blank_values=True))


def jdbc_parameters(url: str) -> dict[str, str]:
    """What of a JDBC URL's parameters libpq must know: TLS, and which of several hosts is meant.

    ``ssl=true`` alone means verify-full, as in the driver since 42.0, unless the factory says that it checks nothing.
    """
    given = _given(url)
    found = {key: value for key, value in given.items() if key in SSL and value}
    if given.get("ssl", "false").lower() in ("true", "") and "ssl" in given:
        found.setdefault("sslmode", "require" if "NonValidating" in given.get("sslfactory", "") else "verify-full")
    if found.get("sslmode", "").startswith("verify") and "sslrootcert" not in found:
        own = os.path.expanduser("~/.postgresql/root.crt")
        systems = [path for path in JAVA_LIKE if os.path.exists(path)]
        if not os.path.exists(own) and systems:
            found["sslrootcert"] = systems[0]
    for java, libpq in (("channelBinding", "channel_binding"), ("gssEncMode", "gssencmode")):
        if java in found:
            found[libpq] = found.pop(java)
    if found.pop("targetServerType", "any") in ("primary", "master"):
        found["target_session_attrs"] = "read-write"
    return found


JAVA_LIKE = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem")
"""The driver's last resort is Java's own trust store; the nearest that libpq can read, of Debian, Red Hat and SUSE."""


def from_params(params: t.Mapping[str, t.Any], guarded: bool = False) -> PostgresLogin:
    """The login from a module's options: what they say, and for the rest what the instance's nuxeo.conf says.

    :param guarded: whether a nuxeo.conf is read in which a restore is marked as unfinished
    """
    from_conf = params.get("nuxeo_conf") or params.get("nuxeo_home")
    found = _from_nuxeo(params, guarded) if from_conf else PostgresLogin("", "", "", "")
    extra = dict(found.extra)
    for option, key in (("ssl_mode", "sslmode"), ("ca_cert", "sslrootcert"), ("connect_timeout", "connect_timeout")):
        if params.get(option):
            extra[key] = str(params[option])
    for variable in CALLERS:
        os.environ.pop(variable, None)
    user, password = params.get("login_user"), params.get("login_password")
    other = user is not None and user != found.user
    login = PostgresLogin(
        host=params.get("login_host") or found.host,
        port=str(params.get("login_port") or (found.port if not params.get("login_host") else "") or ""),
        name=params.get("name") or found.name,
        user=user or found.user,
        password=password if password is not None else ("" if other else found.password),
        extra=extra,
        search_path=found.search_path,
    )
    if not login.name:
        raise DatabaseError("Login to PostgreSQL", "no database is named", "Give nuxeo_conf or name")
    if not re.fullmatch(r"[0-9]*(,[0-9]*)*", login.port):
        raise DatabaseError(f"Login to {login.subject}", f"its port '{login.port}' is no number", "Mend login_port")
    return login


def _from_nuxeo(params: t.Mapping[str, t.Any], guarded: bool) -> PostgresLogin:
    from .._conf.login import database_login  # noqa: PLC0415 - only who reads nuxeo.conf needs that package

    found = database_login(
        params.get("nuxeo_conf"),
        params.get("nuxeo_home"),
        params.get("nuxeo_environment"),
        params.get("nuxeo_version"),
        ignore_guard=guarded,
        properties=params.get("nuxeo_properties"),
    )
    if found.kind != "postgresql":
        raise DatabaseError(
            f"Login to the database of '{params.get('nuxeo_conf')}'",
            f"it is of kind {found.kind}, not postgresql",
            "Use the module for that kind",
        )
    return PostgresLogin(
        host=str(found.host or ""),
        port=str(found.port or ""),
        name=str(found.name or ""),
        user=str(found.user or ""),
        password=str(found.password or ""),
        extra=jdbc_parameters(str(found.url or "")),
        search_path=_given(str(found.url or "")).get("currentSchema", ""),
    )
