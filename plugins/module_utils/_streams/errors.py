# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the error of this store, and its library."""

from __future__ import annotations

import types
import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError

from .._deps import require

MINIMUM = "2.5.0"
"""The first confluent-kafka with all that is asked of it here."""


class StreamsError(PlatformError):
    """A topic or a consumer group could not be read, copied or trusted."""


def library() -> types.ModuleType:
    """confluent_kafka, or an error that says how to get it. Never imported at the top: a module loads without it."""
    return require(("confluent_kafka",), "confluent-kafka", MINIMUM, "to read and write Kafka topics")


def admin_library() -> t.Any:
    """The part of confluent_kafka that administrates."""
    library()
    return require(("confluent_kafka.admin",), "confluent-kafka", "0", "to ask a Kafka cluster")
