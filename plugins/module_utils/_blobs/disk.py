# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: what is written is on the disk before it has a name."""

from __future__ import annotations

import os
import re
import typing as t


def _kernel() -> t.Tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2])


HAS_SYNCFS = _kernel() >= (5, 8)
"""From Linux 5.8 on syncfs tells of errors while writing back; before that it is of no use as a proof."""


def fsync(path: bytes) -> None:
    """Write back one file or folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Volume:
    """The file system that holds a folder. Open it before the first write.

    The kernel tells an error of writing back once to each descriptor that was open when it happened: one opened later
    may learn nothing of it, when another process has asked meanwhile.
    """

    def __init__(self, folder: bytes) -> None:
        self._folder = folder
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _syncfs(self) -> None:
        import ctypes  # noqa: PLC0415 - who has nothing to sync, here or on another host, is over before that is read

        library = ctypes.CDLL(None, use_errno=True)
        if library.syncfs(self._descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def sync_files(self, paths: t.Iterable[bytes]) -> None:
        """Make files durable, all below the folder, at the cost of one."""
        if HAS_SYNCFS:
            self._syncfs()
            return
        for path in paths:
            fsync(path)

    def sync_names(self, paths: t.Iterable[bytes]) -> None:
        """Make the names of files durable, and those of the folders above them, up to the folder."""
        if HAS_SYNCFS:
            self._syncfs()
            return
        folders: t.Set[bytes] = set()
        for path in paths:
            above = os.path.dirname(path)
            while len(above) >= len(self._folder) and above not in folders:
                folders.add(above)
                above = os.path.dirname(above)
        for above in sorted(folders, reverse=True):
            fsync(above)

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


class Sync:
    """Files of a volume that are made durable in a thread of their own, from now on."""

    def __init__(self, volume: Volume, paths: t.Sequence[bytes]) -> None:
        import threading  # noqa: PLC0415 - as ctypes above

        self._volume = volume
        self._paths = paths
        self._error: t.Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._volume.sync_files(self._paths)
        except BaseException as error:  # noqa: BLE001 - raised by wait()
            self._error = error

    @property
    def ended(self) -> bool:
        """Whether :meth:`wait` returns at once."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait for the end; raises what went wrong."""
        self._thread.join()
        if self._error is not None:
            raise self._error
