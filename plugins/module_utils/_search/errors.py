# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what a search engine's refusal means, in words."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.nuxeo.platform.plugins.module_utils._errors import PlatformError

_ACTION = re.compile(r"action \[([^\]]+)\]|no permissions for \[([^\]]+)\]")
_LONGEST = 600


class SearchError(PlatformError):
    """Anything about the search engine, its repositories and its snapshots."""


class Lost(SearchError):
    """No answer, or one of a proxy: it is not known whether the call has taken effect."""


def error_types(body: t.Any) -> set[str]:
    """Every ``type`` in an error answer, root causes included."""
    found: set[str] = set()
    if isinstance(body, dict):
        for key, value in body.items():
            if key == "type" and isinstance(value, str):
                found.add(value)
            elif key in ("error", "caused_by", "root_cause", "exception"):
                found |= error_types(value)
    elif isinstance(body, list):
        for item in body:
            found |= error_types(item)
    return found


def reason(body: t.Any) -> str:
    """The engine's own words, the innermost cause last, at most some lines long."""
    words: list[str] = []
    error = body.get("error", body) if isinstance(body, dict) else body
    while isinstance(error, dict):
        text = f"{error.get('type', '')}: {error.get('reason', '')}".strip(": ")
        if text and text not in words:
            words.append(text)
        error = error.get("caused_by")
    if isinstance(error, str) and not words:
        words.append(" ".join(error.split()))
    return "; caused by ".join(words)[:_LONGEST] or "no reason was given"


def missing_privilege(body: t.Any) -> str:
    """The action that a refused call needs, as the engine names it; empty when it does not say."""
    found = _ACTION.search(reason(body))
    return (found.group(1) or found.group(2)) if found else ""


def refused(what: str, status: int, body: t.Any, todo: str = "") -> SearchError:
    """The error for an answer of 400 and more."""
    if status == 401:
        why, todo = "the server does not accept the login (401)", "Check url_username and url_password, or url_api_key"
    elif status == 403 and "security_exception" in error_types(body):
        action = missing_privilege(body)
        why = f"the login lacks the privilege for '{action}' (403)" if action else f"{reason(body)} (403)"
        todo = f"Grant '{action}' to a role of that login" if action else todo
    else:
        why = f"{reason(body)} (HTTP {status})"
    return SearchError(what, why, todo)
