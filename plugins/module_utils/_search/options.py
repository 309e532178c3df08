# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how modules reach the engine, from their options or from nuxeo.conf on the node."""

from __future__ import annotations

import re
import typing as t

from .._argspec import NUXEO_CONF, NUXEO_PROPERTIES, Spec
from .client import Client, Connection, refuse_logins
from .errors import SearchError

if t.TYPE_CHECKING:
    from .._conf.version import Line

SEARCH: Spec = {
    "url": {"type": "list", "elements": "str"},
    "url_username": {"type": "str"},
    "url_password": {"type": "str", "no_log": True},
    "url_api_key": {"type": "str", "no_log": True},
    "ca_cert": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "validate_certs": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 30.0},
    "retry_timeout": {"type": "float", "default": 60.0},
    **NUXEO_CONF,
    **NUXEO_PROPERTIES,
}
"""Doc fragments nuxeo.platform.search and nuxeo.platform.nuxeo_properties."""


def _with_logins(given: t.Any) -> set[str]:
    """All addresses when one has a login, of which they may be parts: refused, and shown with the refusal."""
    listed = {str(each) for each in (given if isinstance(given, list) else [given])}
    return listed if "@" in "".join(listed) else set()


RULES: dict[str, t.Any] = {
    "secrets": lambda params: _with_logins(params.get("url")),
    "required_by": {"url_password": ["url_username"], "client_key": ["client_cert"]},
    "mutually_exclusive": [("url_username", "url_api_key")],
    "required_one_of": [("url", "nuxeo_conf", "nuxeo_home")],
}

_FAMILIES = ("opensearch1", "opensearch2", "elasticsearch9", "elasticsearch8")
_BACKENDS = (
    ("nuxeo.audit.backend.default", "factory"),
    ("nuxeo.uidsequencer.default", "class"),
)
"""Since 2025 the audit and the sequences have a client each, of the family that is in the name of their class."""
_DOCUMENTS = "nuxeo.search.client.default"
_FAMILY = re.compile(r"org\.nuxeo\.(?:audit|uidgen)\.([a-z0-9]+)\.")
_OLD = {"server": "elasticsearch.addressList"}


class Properties(t.Protocol):
    """What is used of a resolved configuration."""

    @property
    def line(self) -> Line: ...

    def get(self, name: str) -> str | None: ...


def from_properties(properties: Properties, documents: bool = False) -> dict[str, str]:
    """Addresses and login by which the instance itself reaches its audit, else its sequences, else its documents.

    Since 2025 several engines may be configured, of which an old one may still hold an audit that nobody writes to; and
    the login of one is not given to another.

    :param documents: the index of documents is meant, wherever audit and sequences are
    """
    if properties.line.name != "2025":
        return {key: properties.get(_old(key)) or "" for key in ("server", "username", "password")}
    for owner, kind in () if documents else _BACKENDS:
        family = _FAMILY.match(properties.get(f"{owner}.{kind}") or "")
        if family and properties.get(f"{owner}.{family[1]}.index.name"):
            return _client(properties, owner, family[1])
    used = [family for family in _FAMILIES if properties.get(f"{_DOCUMENTS}.{family}.index.name")]
    clients = [_client(properties, _DOCUMENTS, family) for family in used or _FAMILIES]
    return next((client for client in clients if client["server"]), clients[0])


def _client(properties: Properties, owner: str, family: str) -> dict[str, str]:
    """What a client's own properties say, else those of all clients of its family, else the old ones."""
    found = {}
    for key in ("server", "username", "password"):
        names = [f"{owner}.{family}.client.{key}", f"nuxeo.{family}.client.{key}", _old(key)]
        values = [value for value in map(properties.get, names) if value is not None]
        found[key] = next(iter(values), "") if key != "server" else next(filter(None, values), "")
    return found


def _old(key: str) -> str:
    """Its name up to 2023, which later versions take as a default."""
    return _OLD.get(key, f"elasticsearch.restClient.{key}")


BY_URL = "Give the REST address by backup_search_url or restore_search_url (url)"


def addresses(listed: str, client: str, where: str) -> list[str]:
    """The REST addresses in ``addressList``; a bare ``host:port`` means http."""
    refuse_logins([listed])
    given = [each.strip() for each in listed.split(",") if each.strip()]
    if not given:
        todo = f"{BY_URL}; an embedded engine answers on port 9200 while elasticsearch.httpEnabled is true"
        raise SearchError(f"Address of the search engine in {where}", "there is none: it is embedded in Nuxeo", todo)
    ports = {each.rpartition(":")[2] for each in given}
    if "//" not in listed and (client == "TransportClient" or ports & {"9300"}):
        todo = f"{BY_URL}, mostly on port 9200"
        raise SearchError(f"Address of the search engine in {where}", f"{listed} is that of the transport client", todo)
    return [each if "//" in each else f"http://{each}" for each in given]


def connection(
    params: t.Mapping[str, t.Any], properties: Properties | None = None, documents: bool = False
) -> Connection:
    """The connection that the options describe. The options win over what nuxeo.conf says.

    :param properties: the resolved nuxeo.conf; read from the path in the options where it is not given
    :param documents: as for :func:`from_properties`
    """
    urls = [str(url) for url in params["url"] or []]
    login = {"username": params["url_username"] or "", "password": params["url_password"] or ""}
    needed = not urls or not (login["username"] or params["url_api_key"])
    if properties is None and needed and (params["nuxeo_conf"] or params["nuxeo_home"]):
        properties = _resolved(params)
    if properties is not None:
        found = from_properties(properties, documents)
        where = str(params["nuxeo_conf"] or params["nuxeo_home"])
        urls = urls or addresses(found["server"], properties.get("elasticsearch.client") or "", where)
        if not (login["username"] or params["url_api_key"]):
            login = {key: found[key] for key in login}
    return Connection(
        urls=tuple(urls),
        api_key=params["url_api_key"] or "",
        ca_cert=params["ca_cert"],
        client_cert=params["client_cert"],
        client_key=params["client_key"],
        validate_certs=params["validate_certs"],
        timeout=params["timeout"],
        retry_timeout=params["retry_timeout"],
        **login,
    )


def _resolved(params: t.Mapping[str, t.Any]) -> Properties:
    from .._conf.preview import resolve_with  # noqa: PLC0415  only modules that are told to read nuxeo.conf need it

    return t.cast(
        Properties,
        resolve_with(  # a restore reads it while the guard stands
            params["nuxeo_properties"],
            params["nuxeo_conf"],
            home=params["nuxeo_home"],
            environment=params["nuxeo_environment"],
            version=params["nuxeo_version"],
        ),
    )


def client_for(params: t.Mapping[str, t.Any], documents: bool = False) -> Client:
    """A client for a module's options; ``documents`` as for :func:`from_properties`."""
    return Client(connection(params, documents=documents))
