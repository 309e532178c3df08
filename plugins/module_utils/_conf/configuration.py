# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a resolved configuration: its values, expanded when they are asked for."""

from __future__ import annotations

import re
import typing as t

from .errors import ConfError, Origin
from .expand import Expander
from .loaded import Loaded
from .secrets import MASK, is_secret, mask

TOLD = frozenset(
    (
        *("nuxeo.db.host", "nuxeo.db.port", "nuxeo.db.name", "nuxeo.db.user", "nuxeo.db.jdbc.url", "nuxeo.db.type"),
        *("nuxeo.mongodb.server", "nuxeo.mongodb.dbname", "elasticsearch.addressList", "elasticsearch.indexName"),
        *("kafka.bootstrap.servers", "kafka.topicPrefix"),
    )
)
"""What the facts tell in any case, even when somebody keeps it encrypted."""


class Configuration:
    """The resolved configuration of one instance."""

    def __init__(self, loaded: Loaded, version: str) -> None:
        self._loaded = loaded
        self._table = loaded.table
        self._expander = Expander(self._table.get, self._table.decrypt_now, loaded.line.greedy_default)
        self.version = version
        self.line = loaded.line
        self.conf = loaded.conf
        self.home = loaded.home
        self.environment = loaded.environment
        self.template_folders = loaded.templates

    @property
    def templates(self) -> list[str]:
        """The templates in the order taken: names, or paths for those outside of the templates folder."""
        below = self._loaded.folder + "/"
        return [folder[len(below) :] if folder.startswith(below) else folder for folder in self.template_folders]

    @property
    def templates_folder(self) -> str:
        """The folder of the stock templates."""
        return self._loaded.folder

    def __iter__(self) -> t.Iterator[str]:
        return iter(sorted({*self._table.own, *self._table.defaults}))

    def __contains__(self, name: str) -> bool:
        return self.raw(name) is not None

    def raw(self, name: str) -> str | None:
        """A value as the launcher holds it: environment expanded, decrypted, ``${name}`` not expanded."""
        return self._table.get(name)

    def get(self, name: str) -> str | None:
        """A value with all references expanded that can be; None when it is absent."""
        value = self.raw(name)
        return None if value is None else self._expander.expand(self._table.decrypt_now(value))

    def expansion(self, get: t.Callable[[str], str | None]) -> t.Callable[[str], str]:
        """How the launcher expands a value where others are those that ``get`` gives."""
        return Expander(get, self._table.decrypt_now, self.line.greedy_default).expand

    def items(self) -> t.Iterator[tuple[str, str]]:
        """All names and expanded values, by name."""
        for name in self:
            yield name, self.get(name) or ""

    def is_secret(self, name: str) -> bool:
        """Whether a value is a secret: by its name, for it is kept encrypted, or by a variable that went into it."""
        self.raw(name)
        hidden = name in self._table.encrypted and name not in TOLD
        return is_secret(name) or hidden or name in self._loaded.tainted

    def shown(self, name: str) -> str | None:
        """A value as it may be told: None for a secret; what another property would bring into it is masked."""
        value = self.raw(name)
        if value is None or self.is_secret(name):
            return None

        def get(other: str) -> str | None:
            found = self.raw(other)
            return MASK if found and self.is_secret(other) else found

        return mask(self.expansion(get)(value))

    def origin(self, name: str) -> Origin:
        """Where a value was set."""
        return self._loaded.origin(name)

    def used(self, name: str, default: str = "") -> str:
        """A value that is acted upon: an error when a reference stays open in it."""
        value = self.get(name)
        if value is None:
            return default
        if self._table.is_encrypted(value):
            raise ConfError(
                f"Reading of {self.origin(name)}",
                "its encrypted value cannot be decrypted with the key of this configuration",
                "Check server.status.key and the server.crypt properties",
            )
        opened = self._expander.open_references(value)
        if not opened and not _is_secret_free_text(name):
            opened = re.findall(r"\$\{[^}]*\}?", value)
        if opened:
            # its name only: what else is there may be a secret
            reference = re.sub(r"^\$\{#?([\w.\-]*(?:\?\?)?(?::\w+)?).*$", r"${\1}", opened[0], flags=re.DOTALL)
            raise ConfError(
                f"Reading of {self.origin(name)}",
                f"the reference {reference} stays open",
                "Set the property or the variable that it names in nuxeo.conf or in the environment of Nuxeo",
            )
        return value

    def folder(self, name: str) -> str:
        """A folder as the server uses it: up to 10.10 not as a template would have it."""
        if name in self._loaded.folders and name not in self._table.own:
            return self._loaded.folders[name]
        return self.used(name)

    def flag(self, name: str) -> bool:
        """A value that Nuxeo reads as a boolean."""
        return self.used(name).strip().lower() == "true"


def _is_secret_free_text(name: str) -> bool:
    """A password may hold ``${`` without being a reference."""
    return "password" in name.lower()
