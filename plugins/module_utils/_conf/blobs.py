# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: the blob stores that a configuration names."""

from __future__ import annotations

import os
import typing as t
import xml.etree.ElementTree as ET

from .._blobs.names import digest_named
from .configuration import Configuration
from .errors import ConfError
from .java import path as java_path
from .java import resolve_path
from .secrets import mask

CLASS = "nuxeo.core.binarymanager"
STORE = "repository.binary.store"
DEPTH = 2
_KINDS = (
    ("AESBinaryManager", "encrypted"),
    ("AESBlobProvider", "encrypted"),
    ("DefaultBinaryManager", "file"),
    ("LocalBinaryManager", "file"),
    ("LocalBlobProvider", "file"),
    ("S3", "s3"),
    ("GoogleStorage", "gcs"),
    ("Azure", "azure"),
    ("GridFS", "gridfs"),
)
_BUCKETS = {
    "s3": ("nuxeo.s3storage.bucket", "nuxeo.s3storage.endpoint", "nuxeo.s3storage.bucket_prefix"),
    "gcs": ("nuxeo.gcp.storage.bucket", "nuxeo.gcp.project", "nuxeo.gcp.storage.bucket_prefix"),
    "azure": ("nuxeo.storage.azure.container", "nuxeo.storage.azure.account.name", "nuxeo.storage.azure.prefix"),
}
"""The properties that name the bucket, whose it is, and what all names in it begin with."""


def blobs(configuration: Configuration) -> list[dict[str, t.Any]]:
    """Each store that the stock templates contribute, by provider."""
    stores = [_store(configuration, "default", _default_path(configuration))]
    if _keeps_fulltext(configuration):
        root = configuration.used("nuxeo.binarystores.root")
        stores.append(_store(configuration, "fulltext", _absolute(configuration, root + "/fulltext")))
    return stores


def _keeps_fulltext(configuration: Configuration) -> bool:
    """Whether extracted text is in a store of its own; late releases of 2025 have another name for it."""
    names = (
        "nuxeo.vcs.fulltext.storedInBlob",
        *(("nuxeo.fulltext.storedInBlob",) * (configuration.line.name == "2025")),
    )
    old = configuration.line.name in ("8.10", "9.10")
    return not old and any(configuration.get(name) == "true" for name in names)


def _store(configuration: Configuration, provider: str, folder: str) -> dict[str, t.Any]:
    name = configuration.used(CLASS, "org.nuxeo.ecm.core.blob.binary.DefaultBinaryManager")
    if not configuration.line.modern and provider == "default" and _takes_gridfs(configuration):
        name = "GridFSBinaryManager"  # up to 10.10 the template contributes the class itself
    kind = next((kind for part, kind in _KINDS if part in name.rsplit(".", 1)[-1]), "other")
    if kind not in ("file", "encrypted"):
        bucket = _bucket(configuration, kind)
        return {"provider": provider, "path": None, "kind": kind, "digest": "MD5", "depth": None, "bucket": bucket}
    digest, depth = read_config_xml(folder)
    if name.endswith("BlobProvider"):  # there the digest is a setting of the provider, and only the depth is read
        digest = "MD5"
    return {"provider": provider, "path": folder, "kind": kind, "digest": digest, "depth": depth}


def _bucket(configuration: Configuration, kind: str) -> str | None:
    """Where an object store keeps its blobs, as ``s3:bucket/prefix``; None where a contribution names it."""
    holder, *further = _BUCKETS.get(kind, ("",))
    if not configuration.get(holder):
        return None
    parts = [configuration.used(name).strip("/") for name in (*further[:1], holder, *further[1:])]
    return mask(f"{kind}:{'/'.join(filter(None, parts))}")


def _takes_gridfs(configuration: Configuration) -> bool:
    return any(folder.rsplit("/", 1)[-1] == "gridfsbinaries" for folder in configuration.template_folders)


def _default_path(configuration: Configuration) -> str:
    return _absolute(configuration, configuration.used(STORE) or "binaries")


def _absolute(configuration: Configuration, folder: str) -> str:
    folder = folder.strip()
    if not folder.startswith("/") and configuration.line.name in ("8.10", "9.10"):
        before_5_4 = java_path(f"{configuration.home}/nxserver/{folder}")
        if os.path.exists(before_5_4):
            return before_5_4
    path = resolve_path(configuration.folder("nuxeo.data.dir"), folder)
    return path if folder.startswith("/") or not configuration.line.modern else os.path.normpath(path)


def read_config_xml(folder: str) -> tuple[str, int]:
    """Digest and depth of a store on disk; the defaults of Nuxeo when it was never started."""
    file = os.path.join(folder, "config.xml")
    try:
        root = ET.parse(file).getroot()  # noqa: S314 - a file of the server's own, without a network
    except FileNotFoundError:
        return "MD5", DEPTH
    except (OSError, ET.ParseError) as error:
        raise ConfError(
            f"Reading of '{file}'", str(error), "Without it the digest and the depth of the blob store are not known"
        ) from error
    digest = (root.findtext("digest") or "MD5").strip()
    depth = (root.findtext("depth") or str(DEPTH)).strip()
    if not depth.isdigit():
        raise ConfError(f"Reading of '{file}'", f"the depth '{depth}' is no number", "Correct it")
    return digest_named(digest) or digest, int(depth)
