# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: a long child process; the only place that starts one without ``run_command``.

Ansible's ``run_command`` cannot be looked at while it runs. Here a child is stopped, with all that it has started, as
soon as the run has lost its place, and it does not outlive a module that is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import time
import typing as t

from ._errors import PlatformError
from ._progress import Progress

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_GRACE = 10.0
_POLL = 0.1


class Finished(t.NamedTuple):
    """What became of a child: ``rc`` is negative when a signal ended it."""

    rc: int
    stdout: str
    stderr: str


def run(
    argv: t.Sequence[str],
    env: t.Mapping[str, str] | None = None,
    progress: Progress | None = None,
    watch: t.Callable[[], None] | None = None,
) -> Finished:
    """Run a program to its end, with nothing on its standard input.

    :param argv: never a shell line, never a secret
    :param env: added to the environment of this process, where ``LC_ALL`` is ``C``
    :param progress: its ``check`` is called again and again; when that raises, the child is stopped
    :param watch: called likewise, e.g. to measure what the child has written so far
    """
    environment = {**os.environ, "LC_ALL": "C", **(env or {})}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            child = subprocess.Popen(
                list(argv),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock is taken
            )
        except OSError as error:
            raise PlatformError(f"Start of '{argv[0]}'", str(error.strerror)) from error
        try:
            while child.poll() is None:
                if progress:
                    progress.check()
                if watch:
                    watch()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_POLL)
        except BaseException:
            _stop(child)
            raise
        return Finished(child.returncode, _text(out), _text(err))


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End the child and its own children: first asked, then killed."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        until = time.monotonic() + _GRACE
        while child.poll() is None and time.monotonic() < until:
            time.sleep(0.05)


def _text(stream: t.IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")
