#!/usr/bin/env bash
# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Gets what the demo and the tests need, all below .cache but for Debian's packages. Each step does nothing when done before.
#   prepare.sh system               Debian's packages that the tests need (root; another user is told what is missing)
#   prepare.sh bench                Debian's packages that the benchmarks need beside those
#   prepare.sh venv DIR REQUIREMENTS
#   prepare.sh system_and_venv DIR REQUIREMENTS   the two side by side
#   prepare.sh link                 the tree in which Ansible finds this work tree as nuxeo.platform
set -euo pipefail
cd "$(dirname "$0")/../.."
repo=$PWD

# package:program that it brings
needed=(
  postgresql-15:/usr/lib/postgresql/15/bin/initdb openjdk-17-jdk-headless:javac maven:mvn git:git rsync:rsync
  podman:podman runc:runc netavark:/usr/lib/podman/netavark iproute2:ip netcat-openbsd:nc openssh-client:ssh
  mmdebstrap:mmdebstrap strace:strace shellcheck:shellcheck curl:curl openssl:openssl util-linux:setpriv procps:ps
  xfsprogs:mkfs.xfs kcat:kcat
)
ensurepip=python3-venv:/usr/lib/python3.11/ensurepip/__init__.py
peers=(restic:restic borgbackup:borg rclone:rclone)

apt_install() {
  mkdir -p "$repo/.cache/apt"
  # Not /tmp: an upgrade of systemd in the same run empties it under dpkg.
  export DEBIAN_FRONTEND=noninteractive TMPDIR=$repo/.cache/apt
  local apt=(apt-get -y -q --no-install-recommends -o DPkg::Lock::Timeout=300)
  "${apt[@]}" install "$@" && return
  "${apt[@]}" update || true
  dpkg --configure -a || true
  "${apt[@]}" --fix-broken install || true
  "${apt[@]}" install "$@"
}

has() { case $1 in /*) [ -e "$1" ] ;; *) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;; esac; }

require() {
  local missing=() pair
  for pair in "$@"; do
    has "${pair#*:}" || missing+=("${pair%%:*}")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    echo "The tests need these packages, and only root can install them: apt-get install ${missing[*]}" >&2
    return 1
  fi
  apt_install "${missing[@]}"
}

system() { require "${needed[@]}"; }

system_and_venv() {
  [ "$(id -u)" -ne 0 ] || require "$ensurepip"
  system < /dev/null &
  local packages=$!
  venv "$@"
  wait "$packages"
}

bench() { require "${peers[@]}"; }

python() {
  # Debian's first: it is compiled with all optimizations, which others of the same version often are not
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} /usr/bin/python3.11 python3.11 python3.12 python3.13 python3 /usr/bin/python3 \
    "$HOME"/.pyenv/versions/3.1[123]*/bin/python3; do
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "No Python 3.11, 3.12 or 3.13 with venv was found. Name one: make PYTHON=/path/to/python3.11, or as root on Debian:" \
    "apt-get install python3-venv" >&2
  return 1
}

venv() {
  local dir=$1 requirements=$2 python stamp
  stamp=$(cat tests/requirements*.txt | sha256sum | cut -c1-64)
  [ "$(cat "$dir/.made-of" 2>/dev/null)" = "$stamp" ] && [ -x "$dir/bin/python" ] && return
  python=$(python) || { [ "$(id -u)" -eq 0 ] && require "$ensurepip" && python=$(python); }
  echo "Making $dir with $("$python" --version) from $requirements (a few minutes the first time) ..."
  rm -rf "$dir"
  "$python" -m venv "$dir"
  # most of it is never imported: what is, Python compiles then
  "$dir/bin/python" -m pip install -q --no-compile --disable-pip-version-check -r "$requirements"
  echo "$stamp" > "$dir/.made-of"
}

link() {
  mkdir -p build/collections/ansible_collections/nuxeo
  ln -sfn "$repo" build/collections/ansible_collections/nuxeo/platform
}

command=$1
shift
"$command" "$@"
