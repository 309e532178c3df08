# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a blob store of Nuxeo on a file system: its root, its data folder, its config.xml."""

from __future__ import annotations

import os
import re
import typing as t

from .errors import BlobError, os_reason
from .names import DIGESTS, digest_named


class Store(t.NamedTuple):
    """A store as it is found on the disk."""

    root: str
    data: bytes
    depth: int
    digest: str
    config: str
    """The text of config.xml; empty when there is none."""


def _element(text: str, name: str) -> str | None:
    bare = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    found = re.search(rf"<{name}(?:\s[^>]*)?>\s*(?:<!\[CDATA\[)?\s*([^<\]]*?)\s*(?:\]\]>)?\s*</{name}\s*>", bare)
    return found.group(1) if found else None


def read_config(root: str) -> str:
    """The text of the store's config.xml; empty when there is none."""
    path = os.path.join(root, "config.xml")
    try:
        with open(path, "rb") as stream:
            content = stream.read(1 << 16)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BlobError(f"Reading of '{path}'", str(error), "Without it the depth of the store is not known") from error
    try:
        return content.decode()
    except UnicodeDecodeError:
        return _in_utf8(content, path)


def _in_utf8(content: bytes, path: str) -> str:
    """An XML that names another encoding."""
    import xml.etree.ElementTree as ET  # noqa: PLC0415, N817 - a pass in which nothing is new waits for it

    try:
        return ET.tostring(ET.fromstring(content), encoding="unicode")  # noqa: S314 - as _conf.blobs
    except ET.ParseError as error:
        raise BlobError(
            f"Reading of '{path}'", f"it is no XML: {error}", "Mend it: it says the store's depth"
        ) from error


def settings(config: str, path: str, kind: str, depth: int | None, digest: str | None) -> t.Tuple[int, str]:
    """Depth and digest: what the options say, else config.xml, else Nuxeo's defaults.

    Records are flat whatever config.xml says: Nuxeo writes the same one into each store, and looks at its depth only
    where keys are digests (LocalBlobProvider, PathStrategyFlat).
    """
    if depth is None and kind == "record":
        depth = 0
    text = _element(config, "depth")
    if depth is None and text is not None and not text.isdecimal():
        raise BlobError(f"Reading of '{path}'", f"its depth is {text!r}, not a number", "Set depth, or mend the file")
    written = digest or _element(config, "digest") or "MD5"
    found = digest_named(written)
    if found is None:
        raise BlobError(f"Reading of '{path}'", f"its digest is {written!r}", f"Digests known are {', '.join(DIGESTS)}")
    return depth if depth is not None else int(text or 2), found


def open_store(root: str, kind: str, depth: int | None, digest: str | None, accept_empty: bool) -> Store:
    """Look at a store; one that looks like an unmounted volume is refused unless that is accepted."""
    todo = "Mount the volume, or set accept_shrink=true if the store is really empty"
    try:
        names = os.listdir(root)
    except FileNotFoundError:
        if not accept_empty:
            raise BlobError(f"Reading of blob store '{root}'", "the folder does not exist", todo) from None
        names = []
    except OSError as error:
        raise BlobError(f"Reading of blob store '{root}'", os_reason(error), todo) from error
    if not accept_empty and "data" not in names and "config.xml" not in names:
        raise BlobError(f"Reading of blob store '{root}'", "it has neither a data folder nor config.xml", todo)
    config, path = read_config(root) if names else "", os.path.join(root, "config.xml")
    found = settings(config, path, kind, depth, digest)
    own = settings(config, path, kind, None, digest)[0] if config else found[0]
    if found[0] != own and kind != "record":
        why = f"its config.xml says depth {own}, where Nuxeo looks for blobs, and {depth} was given"
        raise BlobError(f"Reading of blob store '{root}'", why, "Leave depth out")
    return Store(root, os.fsencode(os.path.join(root, "data")), *found, config)
