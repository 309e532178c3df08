# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the database that a configuration names. The JDBC URL is read first, for it wins."""

from __future__ import annotations

import dataclasses
import re
import typing as t
import urllib.parse

from .configuration import Configuration

URL = "nuxeo.db.jdbc.url"
MONGODB = "nuxeo.mongodb.server"
PORTS = {
    "postgresql": 5432,
    "mysql": 3306,
    "mariadb": 3306,
    "oracle": 1521,
    "mssql": 1433,
    "db2": 50000,
    "mongodb": 27017,
}
OLDER = ".h2.db"
"""At the end of a file of H2's older format, which MV_STORE=FALSE in the URL chooses."""
_NO_FILE = ("mem:", "tcp:", "ssl:")
_KINDS = {
    "postgresql": "postgresql",
    "h2": "h2",
    "mysql": "mysql",
    "mariadb": "mariadb",
    "oracle": "oracle",
    "sqlserver": "mssql",
    "jtds:sqlserver": "mssql",
    "db2": "db2",
}


@dataclasses.dataclass(frozen=True)
class Database:
    """Where the database is; the one place beside login.py that sees a password sees it in :attr:`password`."""

    kind: str | None
    host: str | None = None
    """Of PostgreSQL several with commas between them, as libpq takes them."""
    port: int | str | None = None
    """Several with commas when the hosts have different ones."""
    name: str | None = None
    user: str | None = None
    path: str | None = None
    """Of H2, without ``.mv.db`` at its end; a file of the older format is named whole."""
    url: str = dataclasses.field(default="", repr=False)
    password: str | None = dataclasses.field(default=None, repr=False)

    def shown(self) -> dict[str, t.Any]:
        """What may be told of it."""
        shown: dict[str, t.Any] = {
            "kind": self.kind,
            "host": None if "(" in (self.host or "") else self.host,  # MySQL's (host=..)(password=..), not taken apart
            "port": self.port,
            "name": self.name,
            "user": self.user,
        }
        if self.kind == "h2":
            shown["path"] = self.path
        return shown


def database(configuration: Configuration) -> Database:
    """The database of the repository: MongoDB when its server is set, else the one of the JDBC URL."""
    if configuration.used(MONGODB):
        return _mongodb(configuration)
    return sql_database(configuration)


def sql_database(configuration: Configuration) -> Database:
    """The SQL database; in an instance on MongoDB it holds the rest. Its kind is None when nothing names one."""
    if not connects_by_url(configuration):
        return _completed(configuration, _of_properties(configuration))
    url = configuration.used(URL)
    if not url:
        return Database(None)
    found = re.match(r"jdbc:(?:aws-wrapper:)?((?:jtds:)?[a-z0-9]+):", url, re.IGNORECASE)
    kind = _KINDS.get(found.group(1).lower()) if found else None
    if kind is None or found is None:
        return Database("other", url=url)
    parsed = _PARSERS[kind](url[found.end() :])
    if kind == "h2":
        path = parsed.name or ""
        if not path.startswith(("/", "~", *_NO_FILE)):
            path = f"{configuration.home}/{path}"
        name = re.split(r"[/:]", path)[-1]
        parsed = dataclasses.replace(parsed, path=path, name=name[: -len(OLDER)] if name.endswith(OLDER) else name)
    return _completed(configuration, dataclasses.replace(parsed, url=url))


def _completed(configuration: Configuration, found: Database) -> Database:
    """With what its URL does not say. Without a name, the driver of PostgreSQL takes the user's."""
    user = found.user or configuration.used("nuxeo.db.user") or None
    password = found.password or configuration.used("nuxeo.db.password") or None
    other = user if found.kind == "postgresql" else configuration.used("nuxeo.db.name") or None
    return dataclasses.replace(found, user=user, password=password, name=found.name or other)


def connects_by_url(configuration: Configuration) -> bool:
    """Whether the stock templates heed the URL: as an XA data source of PostgreSQL they take the single properties."""
    is_postgresql = configuration.used("nuxeo.db.type") == "postgresql"
    return not is_postgresql or configuration.used("nuxeo.db.xaMode", "false") == "false"


def _of_properties(configuration: Configuration) -> Database:
    """Of these the driver makes a URL itself."""
    host, port, name = (configuration.used(f"nuxeo.db.{key}") or None for key in ("host", "port", "name"))
    place = f"{host or 'localhost'}:{_number(port) or PORTS['postgresql']}"
    return Database("postgresql", *addresses(place, "postgresql"), name)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _address(text: str, kind: str) -> tuple[str | None, int | None]:
    """Host and port of ``host:port``, of the first of several."""
    first = text.split(",", maxsplit=1)[0].rsplit("@", 1)[-1]
    bare = r"[^\[\]]*?" if kind == "postgresql" else r"[^:\[\]]*"  # its driver cuts at the last colon: fd00::5:5432
    found = re.fullmatch(rf"(\[[^\]]+\]|{bare})(?::(\d+))?", first.strip())
    if not found:
        return first or None, PORTS[kind]
    return found.group(1).strip("[]") or "localhost", _number(found.group(2)) or PORTS[kind]


def addresses(text: str, kind: str) -> tuple[str | None, int | str | None]:
    """Hosts and ports of ``host:port,host:port``."""
    found = [_address(one, kind) for one in text.split(",")]
    ports = [str(port) for _host, port in found]
    return ",".join(host or "" for host, _port in found), found[0][1] if len(set(ports)) == 1 else ",".join(ports)


def _query(text: str, *names: str) -> str | None:
    for name, value in urllib.parse.parse_qsl(text, keep_blank_values=True):
        if name.lower() in names:
            return value
    return None


def _authority(kind: str) -> t.Callable[[str], Database]:
    """``//host:port/name?user=..&password=..``, as PostgreSQL, MySQL and MariaDB have it."""

    def parse(rest: str) -> Database:
        rest, _sep, query = rest.partition("?")
        rest = re.sub(r"^[a-z]+:(?=//)", "", rest)  # loadbalance, replication, ...
        if rest.startswith("//"):
            address, _sep, name = rest[2:].partition("/")
            login, _sep, address = address.rpartition("@")
            host, port = addresses(address, kind) if kind == "postgresql" else _address(address, kind)
        else:  # jdbc:postgresql:name
            name, login = rest.lstrip("/"), ""
            host, port = "localhost", PORTS[kind]
        user, _sep, password = login.partition(":")
        return Database(
            kind,
            host,
            port,
            urllib.parse.unquote(name) or None,
            _query(query, "user") or urllib.parse.unquote(user) or None,
            password=_query(query, "password") or urllib.parse.unquote(password) or None,
        )

    return parse


def _h2(rest: str) -> Database:
    """``path;SETTING=..``; beside the file of one format there may be a stale one of the other."""
    path = rest.split(";", maxsplit=1)[0]
    if path.startswith("file:"):
        path = path[len("file:") :]
    settings = dict(part.partition("=")[::2] for part in rest.split(";")[1:])
    lowered = {name.upper(): value for name, value in settings.items()}
    if lowered.get("MV_STORE", "").upper() in ("FALSE", "F", "NO", "N", "0") and not path.startswith(_NO_FILE):
        path += OLDER
    return Database("h2", name=path, user=lowered.get("USER"), password=lowered.get("PASSWORD"))


def _oracle(rest: str) -> Database:
    """``thin:user/password@host:port:sid``, ``@//host:port/service`` or ``@(DESCRIPTION=..)``."""
    _driver, _sep, rest = rest.partition(":")
    login, _sep, place = rest.rpartition("@")
    user, _sep, password = login.partition("/")
    host, port, name = _oracle_place(place)
    return Database("oracle", host, port, name, user.strip('"') or None, password=password.strip('"') or None)


def _oracle_place(place: str) -> tuple[str | None, int | None, str | None]:
    if place.startswith("("):
        patterns = (r"HOST", r"PORT", r"(?:SERVICE_NAME|SID)")
        found = [re.search(rf"\(\s*{key}\s*=\s*([^()]*)\)", place, re.IGNORECASE) for key in patterns]
        host, port, name = (match.group(1).strip() if match else None for match in found)
        return host, _number(port), name
    place = re.sub(r"^(?:tcps?:)?//", "", place.split("?", maxsplit=1)[0])
    matched = re.fullmatch(r"(\[[^\]]+\]|[^:/]*)(?::(\d+))?(?:[:/](.*))?", place)
    if not matched:
        return None, None, None
    host = matched.group(1).strip("[]") or "localhost"
    return host, _number(matched.group(2)) or PORTS["oracle"], (matched.group(3) or "").split(":")[0] or None


def _mssql(rest: str) -> Database:
    """``//host\\instance:port;database=..``"""
    address, _sep, settings = rest.partition(";")
    address = address[2:] if address.startswith("//") else address
    address, _sep, path = address.partition("/")
    pairs = {}
    for name, value in re.findall(r"([^;=]+)=(\{[^}]*\}|[^;]*)", settings):
        pairs[name.strip().lower()] = value[1:-1] if value.startswith("{") else value
    host, _sep, port = address.partition(":")
    host = host.split("\\")[0] or pairs.get("servername") or pairs.get("server") or "localhost"
    return Database(
        "mssql",
        host,
        _number(port) or _number(pairs.get("portnumber") or pairs.get("port")) or PORTS["mssql"],
        pairs.get("database") or pairs.get("databasename") or path or None,
        pairs.get("user") or pairs.get("username") or None,
        password=pairs.get("password") or None,
    )


def _db2(rest: str) -> Database:
    """``//host:port/name:setting=..;``"""
    address, _sep, name = rest[2:].partition("/") if rest.startswith("//") else ("", "", rest)
    name, _sep, settings = name.partition(":")
    pairs = dict(part.partition("=")[::2] for part in settings.split(";"))
    host, port = _address(address, "db2") if address else (None, None)
    return Database("db2", host, port, name or None, pairs.get("user"), password=pairs.get("password"))


_PARSERS: dict[str, t.Callable[[str], Database]] = {
    "postgresql": _authority("postgresql"),
    "mysql": _authority("mysql"),
    "mariadb": _authority("mariadb"),
    "h2": _h2,
    "oracle": _oracle,
    "mssql": _mssql,
    "db2": _db2,
}


def _mongodb(configuration: Configuration) -> Database:
    """``host:port``, or a whole ``mongodb://`` or ``mongodb+srv://`` URI."""
    server = configuration.used(MONGODB)
    name = configuration.used("nuxeo.mongodb.dbname") or None
    found = re.match(r"mongodb(\+srv)?://", server)
    login = ""
    rest = server
    if found:
        rest = server[found.end() :].split("?")[0].split("/")[0]
        login = rest.rsplit("@", 1)[0] if "@" in rest else ""
    host, port = _address(rest, "mongodb")
    user, _sep, password = login.partition(":")
    return Database(
        "mongodb",
        host,
        None if found and found.group(1) else port,
        name,
        urllib.parse.unquote(user) or None,
        url=server,
        password=urllib.parse.unquote(password) or None,
    )
