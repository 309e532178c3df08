# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the error of this store, its library, and what the errors of that mean."""

from __future__ import annotations

import types
import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError

from .._deps import require

MINIMUM = "2.5.0"
"""The first confluent-kafka with all that is asked of it here."""

ACCEPT_GAPS = "backup_streams_accept_gaps or restore_streams_accept_gaps (accept_gaps)"
"""What lets an archive or a copy go on without some records: in a backup, in a restore, of the module."""

AGAIN = frozenset(
    [
        "NOT_COORDINATOR",
        "COORDINATOR_NOT_AVAILABLE",
        "COORDINATOR_LOAD_IN_PROGRESS",
        "LEADER_NOT_AVAILABLE",
        "NETWORK_EXCEPTION",
        "NOT_LEADER_FOR_PARTITION",
        "NOT_CONTROLLER",
        "REQUEST_TIMED_OUT",
        "_TRANSPORT",
        "_TIMED_OUT",
        "_WAIT_COORD",
        "_NOENT",
        "OFFSET_NOT_AVAILABLE",
        "KAFKA_STORAGE_ERROR",
        "UNSTABLE_OFFSET_COMMIT",
        "_ALL_BROKERS_DOWN",
        "_DESTROY_BROKER",
        "UNKNOWN_TOPIC_OR_PART",
        "UNKNOWN_LEADER_EPOCH",
        "FENCED_LEADER_EPOCH",
    ]
)
"""Errors that pass by themselves; a topic just made is not known to all brokers at once."""

UNSUPPORTED = "_UNSUPPORTED_FEATURE"
"""What the client itself says for a broker that is too old."""

SILENCE = frozenset(["_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN", "REQUEST_TIMED_OUT"])


class StreamsError(PlatformError):
    """A topic or a consumer group could not be read, copied or trusted."""


def library() -> types.ModuleType:
    """confluent_kafka, or an error that says how to get it. Never imported at the top: a module loads without it."""
    return require(("confluent_kafka",), "confluent-kafka", MINIMUM, "to read and write Kafka topics")


def admin_library() -> t.Any:
    """The part of confluent_kafka that administrates."""
    library()
    return require(("confluent_kafka.admin",), "confluent-kafka", "0", "to ask a Kafka cluster")


def code(error: t.Any) -> str:
    """The name of a KafkaError, or of the one in a KafkaException; a timeout counts as ``_TIMED_OUT``."""
    inner = error.args[0] if isinstance(error, Exception) and error.args else error
    return str(inner.name()) if hasattr(inner, "name") else "_TIMED_OUT"


def reason(error: t.Any) -> str:
    """What a KafkaError or a KafkaException says, in words."""
    inner = error.args[0] if isinstance(error, Exception) and error.args else error
    return str(inner.str()) if hasattr(inner, "str") else (str(error) or "no answer")
