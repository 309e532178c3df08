# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Elasticsearch and OpenSearch servers for tests: the server zips of the Maven registry, started as they are.

    PYTHONPATH=tests python3 -m servers.search.engines fetch NAME...

downloads them (by Maven, SHA-256 checked) and unpacks them into .cache/search.

Servers refuse to run as root: when root calls, they run as ``nobody``, and their files lie where nobody can read.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import sys
import tempfile
import zipfile

from servers.maven import download, one_at_a_time

REPO = pathlib.Path(__file__).resolve().parents[3]
CACHE = (REPO / ".cache" / "search").resolve()  # servers with a security manager do not follow links
ZIPS = CACHE / "zips"


@dataclasses.dataclass(frozen=True)
class Engine:
    """One server zip."""

    coordinates: str
    sha256: str
    java: int = 17
    own_script: bool = False  # by bin/elasticsearch: its main class reads arguments from a pipe
    xpack: bool = False
    plugin: str = ""
    plugin_sha256: str = ""

    @property
    def artifact(self) -> str:
        return self.coordinates.split(":")[1]

    @property
    def version(self) -> str:
        return self.coordinates.split(":")[2]

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def elastic(self) -> bool:
        return self.artifact == "elasticsearch"


TEST_ZIP = "org.elasticsearch.distribution.integ-test-zip:elasticsearch:"
FULL_ZIP = "org.elasticsearch.distribution.zip:elasticsearch:"
OPEN_ZIP = "org.opensearch.distribution.integ-test-zip:opensearch:"
ENGINES = {
    "es5": Engine(FULL_ZIP + "5.6.16", "1f0c74e213c60f050ac3adf584d2bb5d5582932b93965d489bb3f3e9fff2b8bb"),
    "es6": Engine(TEST_ZIP + "6.8.23", "d0499f7103d10c16c4cb575a796a509578053f21130979eda5745968f28b9928"),
    "es7": Engine(TEST_ZIP + "7.17.29", "841ee00be1a72ba8e707b5a2fb55f23fe7a4184369b4585393238b1c903eedaf", xpack=True),
    "es8": Engine(
        TEST_ZIP + "8.8.2",
        "287ea4823a0dd24a2533eb77d3ba9949c8232240b2f464f3046352429b0125b2",
        own_script=True,
        xpack=True,
    ),
    "es819": Engine(
        TEST_ZIP + "8.19.21",
        "215d5f3dbf0609a149f6218a9e47b6ae2df34ebbff3c5754e35f15a5e5393c8a",
        own_script=True,
        xpack=True,
    ),
    "es9": Engine(
        TEST_ZIP + "9.5.3",
        "bec49f3b8d00e75c8d1cec85c35298635ec9fbd3ae80ef5aeb6bc05abdb3db2d",
        java=21,
        own_script=True,
        xpack=True,
    ),
    "os1": Engine(OPEN_ZIP + "1.3.20", "031e0cdcd14c7a5b9907dff8050fff76c7c2892c7313ea83c4a0bfbaae9265e3"),
    "os2": Engine(OPEN_ZIP + "2.19.6", "71d6d8b1c637f3faecda0752b184b1cc526fc6eaad59ec1408c6327bb00b9293"),
    "os2sec": Engine(
        OPEN_ZIP + "2.19.4",
        "3902e642715210d1d9d7cbdcc8f5abd6f931d1d7a679cea3750937becf16c406",
        plugin="org.opensearch.plugin:opensearch-security:2.19.4.0",
        plugin_sha256="1f673622c462c4171a8c53f9b1ad20e5b839834cb79b0d3b388da180a0e514e8",
    ),
    "os3": Engine(OPEN_ZIP + "3.6.0", "a91faa1dc1cadc78cb278b4f63847e19e1627a4e9de698e14e7efc14ee37b286", java=21),
}
EVERY_RUN = ["es7", "es8", "os1"]
"""The engines of ``make test``; ``NUXEO_TEST_ENGINES=all`` or a list of names widens it."""


class NoJdk(Exception):
    """No JDK that is new enough is on this machine."""


def java_home(least: int) -> pathlib.Path:
    """The oldest JDK of the machine that will do: servers before Elasticsearch 8.19 do not run on 24 and later."""
    named = os.environ.get("JAVA21_HOME" if least > 17 else "JAVA17_HOME")
    if named:
        return pathlib.Path(named)
    default = pathlib.Path(os.path.realpath(shutil.which("java") or "/usr/bin/java")).parent.parent
    found: list[tuple[int, pathlib.Path]] = []
    for folder in {default, *default.parent.glob("*"), *pathlib.Path("/usr/lib/jvm").glob("*")}:
        release = folder / "release"
        if not (release.exists() and (folder / "bin" / "java").exists()):
            continue
        for line in release.read_text().splitlines():
            if line.startswith("JAVA_VERSION="):
                major = line.partition("=")[2].strip('"').split(".")[0].split("-")[0]
                if major.isdigit() and int(major) >= least:
                    found.append((int(major), folder))
    if not found:
        raise NoJdk(f"no JDK of {least} or newer is here")
    return min(found)[1]


def _passable(path: pathlib.Path) -> bool:
    """Whether any user can go down to this path."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def servers_folder() -> pathlib.Path:
    """Where servers are unpacked: in the cache, or in /var/tmp where the checkout is closed to other users."""
    CACHE.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or _passable(CACHE / "servers"):
        return CACHE / "servers"
    folder = pathlib.Path(f"/var/tmp/nuxeo-platform-search-{os.geteuid()}")
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.stat().st_uid != os.geteuid() or folder.is_symlink():
        raise RuntimeError(f"{folder} belongs to another user")
    return folder


def _unpack(archive: pathlib.Path, folder: pathlib.Path) -> None:
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(folder)
        for item in bundle.infolist():  # extractall loses the execute bits
            if (item.external_attr >> 16) & 0o111 and not item.is_dir():
                os.chmod(folder / item.filename, 0o755)
    archive.unlink()  # Maven keeps its own copy


def fetch(name: str) -> pathlib.Path:
    """The folder of the unpacked server; downloads it at first use. One at a time, whoever asks."""
    engine = ENGINES[name]
    home = servers_folder()
    server = home / name / f"{engine.artifact}-{engine.version}"
    with one_at_a_time(home / f"{name}.lock"):
        if not (home / name / ".complete").exists():
            _fetch(name, home, server)
    return server


def _fetch(name: str, home: pathlib.Path, server: pathlib.Path) -> None:
    engine = ENGINES[name]
    with tempfile.TemporaryDirectory(dir=home, prefix=f".{name}-") as scratch:
        folder = pathlib.Path(scratch) / name
        _unpack(download(engine.coordinates, engine.sha256, ZIPS, "zip"), folder)
        if engine.plugin:
            plugins = folder / server.name / "plugins" / engine.plugin.split(":")[1]
            _unpack(download(engine.plugin, engine.plugin_sha256, ZIPS, "zip"), plugins)
        (folder / ".complete").touch()
        shutil.rmtree(home / name, ignore_errors=True)
        folder.rename(home / name)


def wanted() -> list[str]:
    """The engines that this run of the tests is to try."""
    asked = os.environ.get("NUXEO_TEST_ENGINES", "")
    if asked == "all":
        return list(ENGINES)
    return asked.replace(",", " ").split() or EVERY_RUN


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] != "fetch":
        raise SystemExit(__doc__)
    for each_name in sys.argv[2:]:
        print(fetch(each_name))
