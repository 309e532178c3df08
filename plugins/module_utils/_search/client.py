# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: calls to Elasticsearch 5.6 to 9 and OpenSearch 1 to 3, over one transport.

The client classes of the engines' own packages shut out the other engine, or older and newer servers. The transport
below them does not, as long as plain ``application/json`` is spoken.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import sys
import typing as t
import urllib.parse

from .._deps import require
from .errors import Lost, SearchError, error_types, reason
from .wait import Deadline

TRANSIENT = (429, 502, 503, 504)
FIRST_ATTEMPTS = 3
"""How often a call is tried while no node has ever answered: a wrong address is told soon."""


@dataclasses.dataclass(frozen=True)
class Connection:
    """Where the engine is and who calls. The representation holds no secret."""

    urls: tuple[str, ...]
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    api_key: str = dataclasses.field(default="", repr=False)
    ca_cert: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    validate_certs: bool = True
    timeout: float = 30.0
    retry_timeout: float = 60.0


class Answer(t.NamedTuple):
    """Status and decoded body."""

    status: int
    body: t.Any

    @property
    def ok(self) -> bool:
        return self.status < 300


def path(*parts: str | t.Sequence[str]) -> str:
    """A path of names, each quoted; a sequence is joined by commas."""
    quoted = []
    for part in parts:
        names = [part] if isinstance(part, str) else part
        quoted.append(",".join(urllib.parse.quote(name, safe="") for name in names))
    return "/" + "/".join(quoted)


def refuse_logins(addresses: t.Sequence[str]) -> None:
    """Before any is read: nothing of them is told, since a password may hold what ends the login, or an address."""
    if any("@" in address for address in addresses):
        raise SearchError(
            "Address of the search engine",
            "it holds a user or a password, which would end in logs",
            "Give them by backup_search_user or restore_search_user, and its password (url_username, url_password)",
        )


@contextlib.contextmanager
def _left_out(name: str) -> t.Iterator[None]:
    """Imports without a library that is not needed, where another one takes it along wherever it is installed."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # that is how Python is told that there is none
    try:
        yield
    finally:
        del sys.modules[name]


class Client:
    """Several nodes, tried in turn; a dead one is left alone for a while.

    :meth:`call` repeats only calls that may be repeated. A call that changes something and whose answer was lost raises
    :class:`Lost`: the caller looks what has become of it.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._answered = False
        with _left_out("aiohttp"):  # only for asynchronous calls, and a tenth of a second at each start
            self._library = require(
                ("elastic_transport",), "elasticsearch", "8.0.0", "to speak to Elasticsearch and OpenSearch"
            )
        utilities = require(
            ("elastic_transport.client_utils",), "elasticsearch", "0", "to speak to Elasticsearch and OpenSearch"
        )
        refuse_logins(connection.urls)
        nodes = [self._node(url, utilities.url_to_node_config) for url in connection.urls]
        self._transport = self._library.Transport(nodes, max_retries=0, meta_header=False)

    @property
    def where(self) -> str:
        """The nodes, for messages."""
        return ", ".join(self.connection.urls)

    def _node(self, url: str, parse: t.Callable[..., t.Any]) -> t.Any:
        try:
            node = parse(url, use_default_ports_for_scheme=True)
        except ValueError as error:
            raise SearchError(f"Address '{url}'", str(error), "Write it as http://host:9200") from error
        headers = {"user-agent": "nuxeo.platform", **self._authorization()}
        if node.scheme != "https":
            return node.replace(headers=headers)
        return node.replace(
            headers=headers,
            verify_certs=self.connection.validate_certs,
            ca_certs=self.connection.ca_cert if self.connection.validate_certs else None,
            client_cert=self.connection.client_cert,
            client_key=self.connection.client_key,
            ssl_show_warn=False,
        )

    def _authorization(self) -> dict[str, str]:
        if self.connection.api_key:
            key = self.connection.api_key
            return {"authorization": f"ApiKey {base64.b64encode(key.encode()).decode() if ':' in key else key}"}
        if self.connection.username:
            login = f"{self.connection.username}:{self.connection.password}"
            return {"authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
        return {}

    def _once(self, method: str, target: str, body: t.Any, kind: str, timeout: float) -> Answer:
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = kind
        what = f"{method} {target} on {self.where}"
        try:
            meta, answer = self._transport.perform_request(
                method, target, headers=headers, body=body, request_timeout=timeout
            )
        except self._library.TlsError as error:
            raise SearchError(
                what,
                f"TLS: {str(error)[:300]}",
                "Give the authority's certificate as PEM, by backup_search_ca_cert or restore_search_ca_cert (ca_cert)",
            ) from error
        except self._library.TransportError as error:
            raise Lost(what, f"no answer: {str(error)[:300]}", "Check that a node listens there") from error
        if meta.status < 300 and not isinstance(answer, (dict, list)):
            raise Lost(what, "the answer is not JSON", "Check that the address is that of the search engine")
        return Answer(meta.status, answer)

    def call(
        self,
        method: str,
        target: str,
        body: t.Any = None,
        *,
        params: t.Mapping[str, str] | None = None,
        repeat: bool | None = None,
        timeout: float | None = None,
        kind: str = "application/json",
    ) -> Answer:
        """One call. Repeated, for ``retry_timeout`` seconds at most, when it only reads or ``repeat`` says so."""
        if params:
            target += "?" + urllib.parse.urlencode(params)
        limit = timeout or self.connection.timeout
        again = method == "GET" if repeat is None else repeat
        deadline = Deadline(self.connection.retry_timeout)
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = self._once(method, target, body, kind, limit)
                if answer.status not in TRANSIENT:
                    self._answered = True
                    return answer
                raise Lost(
                    f"{method} {target} on {self.where}",
                    f"HTTP {answer.status}: {reason(answer.body)}",
                    "Try again when the cluster is less busy",
                    {"status": answer.status, "types": sorted(error_types(answer.body))},
                )
            except Lost:
                if not again or deadline.expired or (attempt >= FIRST_ATTEMPTS and not self._answered):
                    raise
            deadline.pause()
