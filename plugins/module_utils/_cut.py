# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PRIVATE to the collection: how the store that makes the cut tells the others that it is made.

Tasks of a playbook are a second apart, which is too long between two engines' cuts. So what has to be read directly
after the database snapshot is started before it, gets ready, and waits for a file that the dump writes. The file lies
in the run's own partial set, and says the time by the host's clock, or why there will be no cut.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import types
import typing as t

from ._errors import PlatformError
from ._io import now, write_json

LOOK = 0.01
"""Seconds between two looks."""


class Cut:
    """The side that makes the cut. Use as a context manager around the work; without a path it does nothing."""

    def __init__(self, path: t.Optional[str]) -> None:
        self.path = path
        self.told = False

    def taken(self, _result: object = None) -> None:
        """The cut is made: tell it at once."""
        self._tell({"taken": now()})

    def _tell(self, content: dict[str, str]) -> None:
        if self.path and not self.told:
            self.told = True
            write_json(self.path, content)

    def __enter__(self) -> Cut:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: types.TracebackType | None) -> None:
        if kind is not None:
            with contextlib.suppress(OSError):  # the failure itself is what has to be told
                self._tell({"failed": str(value)})


def wait(path: str, timeout: float) -> str:
    """Wait until the cut is made; its time. A cut that failed, or a run that was taken over, is an error."""
    what, end = f"Waiting for the cut in '{path}'", time.monotonic() + timeout
    while time.monotonic() < end:
        try:
            with open(path, encoding="utf-8") as stream:
                content = json.load(stream)
        except FileNotFoundError:
            if not os.path.isdir(os.path.dirname(path)):
                raise PlatformError(what, "its folder is gone", "Another run has taken this one's place") from None
            time.sleep(LOOK)
            continue
        except (OSError, ValueError) as error:
            raise PlatformError(what, str(error), "Run the backup again") from error
        if "taken" not in content:
            raise PlatformError(what, f"it was not made: {content.get('failed')}", "Mend that, then run again")
        return str(content["taken"])
    raise PlatformError(what, f"it was not made within {timeout:g} s", "See what the dump of the database says")
