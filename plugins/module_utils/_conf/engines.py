# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: search, audit, sequences, streams and cluster, as each line of versions decides them."""

from __future__ import annotations

import re
import typing as t

from .blobs import blobs
from .configuration import Configuration
from .errors import ConfError
from .java import file_below, is_blank, resolve_path
from .secrets import MASK, mask

Facts = t.Dict[str, t.Any]
AUDIT_2025 = "nuxeo.audit.backend.default"
SEARCH_2025 = "nuxeo.search.client.default"
SEQUENCES_2025 = "nuxeo.uidsequencer.default"


_LOGIN = re.compile(r"^(\w+://)?.*@")


def _servers(text: str) -> list[str]:
    """Without logins, which are masked before the text is split: a password may hold a comma, and a slash."""
    servers = [server.strip() for server in mask(text).split(",")]
    return [_LOGIN.sub(rf"\g<1>{MASK}@", server) for server in servers if server]


def _has_template(configuration: Configuration, name: str) -> bool:
    return any(folder.rsplit("/", 1)[-1] == name for folder in configuration.template_folders)


def _is_2025(configuration: Configuration) -> bool:
    return configuration.line.name == "2025"


def _enabled(configuration: Configuration, name: str) -> bool:
    return configuration.used(name) == "true"


def _urls(servers: list[str]) -> list[str]:
    return [server if "://" in server else f"http://{server}" for server in servers]


def search(configuration: Configuration) -> Facts:
    """The search engine: none, embedded in Nuxeo, or servers."""
    if _is_2025(configuration):
        return _search_2025(configuration)
    if not _enabled(configuration, "elasticsearch.enabled"):
        return _no_search()
    servers = _servers(configuration.used("elasticsearch.addressList"))
    rest = configuration.used("elasticsearch.client") == "RestClient" and configuration.line.name != "8.10"
    client = "rest" if rest or configuration.line.name == "2023" else "transport"
    home = file_below(configuration.folder("nuxeo.tmp.dir"), "elasticsearch")
    return {
        "kind": "elasticsearch",
        "embedded": not servers,
        "client": client if servers else None,
        "url": _urls(servers) if client == "rest" else servers,
        "index": configuration.used("elasticsearch.indexName"),
        "manage_alias": _enabled(configuration, "elasticsearch.manageAlias.enabled"),
        "user": configuration.used("elasticsearch.restClient.username") or None if client == "rest" else None,
        "path": None if servers else configuration.folder("nuxeo.data.dir") + "/elasticsearch",
        "home": None
        if servers or configuration.line.name == "8.10"
        else home,  # there Elasticsearch 2, not to be opened
        "http": not servers and _enabled(configuration, "elasticsearch.httpEnabled"),
    }


def _no_search() -> Facts:
    return {
        "kind": "none",
        "embedded": False,
        "client": None,
        "url": [],
        "index": None,
        "manage_alias": False,
        "user": None,
        "path": None,
        "home": None,
        "http": False,
    }


def _engine_2025(configuration: Configuration, prefix: str) -> str | None:
    """The engine of the properties below a prefix, e.g. ``opensearch1`` of ``<prefix>.opensearch1.index.name``."""
    pattern = re.compile(re.escape(prefix) + r"\.([A-Za-z0-9]+)\.index\.name")
    found = [match.group(1) for match in map(pattern.fullmatch, configuration) if match]
    return found[0] if found else None


def _client_2025(configuration: Configuration, prefix: str) -> Facts:
    servers = _servers(configuration.used(f"{prefix}.client.server"))
    embedded = not servers and _enabled(configuration, "nuxeo.opensearch1.embed.enabled")
    path = configuration.used("nuxeo.opensearch1.embed.dataPath") or "nxserver/data/opensearch"
    return {
        "url": _urls(servers),
        "user": configuration.used(f"{prefix}.client.username") or None,
        "embedded": embedded,
        "path": resolve_path(configuration.home, path) if embedded else None,
    }


def _search_2025(configuration: Configuration) -> Facts:
    name = configuration.used(f"{SEARCH_2025}.name", "repository")
    engine = _engine_2025(configuration, SEARCH_2025)
    if name == "repository" or engine is None:
        return _no_search()
    prefix = f"{SEARCH_2025}.{engine}"
    return {
        **_no_search(),
        **_client_2025(configuration, prefix),
        "kind": "opensearch" if "opensearch" in engine else "elasticsearch",
        "client": "rest",
        "index": configuration.used(f"{prefix}.index.name"),
    }


def audit(configuration: Configuration) -> Facts:
    """Where the audit is kept."""
    if _is_2025(configuration):
        return _audit_2025(configuration)
    if _mongodb_audit(configuration):
        return {"kept": "mongodb", "collection": "audit"}
    if _enabled(configuration, "elasticsearch.enabled") and _enabled(configuration, "audit.elasticsearch.enabled"):
        return {"kept": "elasticsearch", "index": configuration.used("audit.elasticsearch.indexName")}
    return {"kept": "sql", "table": "NXP_LOGS"}


def _mongodb_audit(configuration: Configuration) -> bool:
    return configuration.line.name != "8.10" and _has_template(configuration, "mongodb-audit")


def _audit_2025(configuration: Configuration) -> Facts:
    factory = configuration.used(f"{AUDIT_2025}.factory", "org.nuxeo.audit.mem.MemAuditBackendFactory")
    found = re.match(r"org\.nuxeo\.audit\.([a-z0-9]+)\.", factory)
    engine = found.group(1) if found else factory
    if engine == "mem":
        return {"kept": "memory"}
    if engine == "sql":
        return {"kept": "sql", "table": "NXP_LOGS"}
    if engine == "mongodb":
        return {"kept": "mongodb", "collection": configuration.used(f"{AUDIT_2025}.mongodb.collection.name", "audit")}
    prefix = f"{AUDIT_2025}.{engine}"
    if f"{prefix}.index.name" not in configuration:
        return {"kept": "other", "factory": factory}
    index = configuration.used(f"{prefix}.index.name")
    return {"kept": "elasticsearch", "index": index, **_client_2025(configuration, prefix)}


def sequences(configuration: Configuration) -> Facts:
    """Where the numbers of sequences are kept."""
    if _is_2025(configuration):
        return _sequences_2025(configuration)
    if _mongodb_audit(configuration):
        return {"kept": "mongodb", "collection": "sequence"}
    if _enabled(configuration, "elasticsearch.enabled"):
        return {"kept": "elasticsearch", "index": configuration.used("seqgen.elasticsearch.indexName")}
    return {"kept": "sql", "table": "NXP_UIDSEQ"}


def _sequences_2025(configuration: Configuration) -> Facts:
    name = configuration.used(f"{SEQUENCES_2025}.class", "org.nuxeo.ecm.core.uidgen.KeyValueStoreUIDSequencer")
    if name.endswith(".KeyValueStoreUIDSequencer"):
        if configuration.used("nuxeo.mongodb.server"):
            return {"kept": "mongodb", "collection": "kv.sequence"}
        return {"kept": "sql", "table": "kv_sequence"}
    if "JPA" in name:
        return {"kept": "sql", "table": "NXP_UIDSEQ"}
    found = re.match(r"org\.nuxeo\.uidgen\.([a-z0-9]+)\.", name)
    prefix = f"{SEQUENCES_2025}.{found.group(1) if found else ''}"
    if f"{prefix}.index.name" not in configuration:
        return {"kept": "other", "class": name}
    index = configuration.used(f"{prefix}.index.name")
    return {"kept": "elasticsearch", "index": index, **_client_2025(configuration, prefix)}


def streams(configuration: Configuration) -> Facts:
    """What carries Nuxeo's streams."""
    line = configuration.line.name
    if line == "8.10":
        return {"kind": "none"}
    if _enabled(configuration, "kafka.enabled"):
        return {**_kafka(configuration), **_big_works(configuration)}
    if line in ("2023", "2025"):
        return {"kind": "memory"}
    folder = configuration.used("nuxeo.stream.chronicle.dir")
    data = configuration.folder("nuxeo.data.dir")
    # the server's working directory is its home
    path = file_below(data, "stream") if is_blank(folder) else resolve_path(configuration.home, folder)
    return {"kind": "chronicle", "path": path, **_big_works(configuration)}


def _big_works(configuration: Configuration) -> Facts:
    """Where the bodies of queued works are that are too big for a record: in a transient store beside the blobs."""
    words = "nuxeo.stream.work.computation.filter"
    wanted = _enabled(configuration, "nuxeo.stream.work.enabled") and _enabled(configuration, f"{words}.enabled")
    store = blobs(configuration)[0]["path"]
    if not wanted or not store or "TransientStore" not in configuration.used(f"{words}.class", "TransientStore"):
        return {}
    return {"big_works": f"{store}_transient_{configuration.used(f'{words}.storeName', 'default')}"}


def kafka_protocol(get: t.Callable[[str], str | None]) -> str:
    """The protocol that Nuxeo uses: kafka.security.protocol is only in force with SASL; Java's client takes any case.

    :param get: gives the value of a property
    """
    if get("kafka.sasl.enabled") == "true":
        return (get("kafka.security.protocol") or "SASL_PLAINTEXT").strip().upper()
    return "SSL" if get("kafka.ssl") == "true" else "PLAINTEXT"


def _kafka(configuration: Configuration) -> Facts:
    sasl = _enabled(configuration, "kafka.sasl.enabled")
    tls = _enabled(configuration, "kafka.ssl")
    return {
        "kind": "kafka",
        "bootstrap_servers": _servers(configuration.used("kafka.bootstrap.servers", "localhost:9092")),
        "prefix": configuration.used("kafka.topicPrefix", "nuxeo-"),
        "security": kafka_protocol(configuration.used),
        "sasl_mechanism": configuration.used("kafka.sasl.mechanism") or None if sasl else None,
        "truststore": configuration.used("kafka.truststore.path") or None if tls else None,
        "keystore": configuration.used("kafka.keystore.path") or None if tls else None,
    }


def cluster(configuration: Configuration) -> Facts:
    """Whether the instance is a cluster, the id of this node when one is set, and Redis, which nodes share."""
    old = "repository.clustering"
    enabled, identity = configuration.used(f"{old}.enabled"), configuration.used(f"{old}.id")
    if configuration.line.modern:
        enabled = configuration.used("nuxeo.cluster.enabled") or enabled
        identity = configuration.used("nuxeo.cluster.nodeid") or identity
    return {"enabled": enabled.strip().lower() == "true", "id": identity or None, "redis": _redis(configuration)}


def _redis(configuration: Configuration) -> Facts | None:
    if configuration.line.name in ("2023", "2025") or not _enabled(configuration, "nuxeo.redis.enabled"):
        return None
    sentinel = _enabled(configuration, "nuxeo.redis.ha.enabled")
    host, port = ("ha.hosts", "ha.port") if sentinel else ("host", "port")
    return {
        "host": configuration.used(f"nuxeo.redis.{host}", "localhost"),
        "port": _number(configuration, f"nuxeo.redis.{port}", 26379 if sentinel else 6379),
        "database": _number(configuration, "nuxeo.redis.database", 0),
        "prefix": configuration.used("nuxeo.redis.prefix", "nuxeo:"),
        "sentinel": configuration.used("nuxeo.redis.ha.master", "mymaster") if sentinel else None,
    }


def _number(configuration: Configuration, name: str, default: int) -> int:
    text = configuration.used(name) or str(default)
    try:
        return int(text)
    except ValueError:
        raise ConfError(f"Reading of {name}", f"'{text}' is no number", "Correct it in nuxeo.conf") from None
