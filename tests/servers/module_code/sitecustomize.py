# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the compiled code of what Python imports from zip files, for all runs of playbooks in the tests.

Ansible sends a module to its node as a zip file, from which Python compiles the module, and all that it imports, anew
each time: a third of what the tests of roles cost. Here the code is kept by the hash of its source, as Python itself
can keep that of a file. It is the same code; only paths in tracebacks are those of its first run. Python imports this
module by itself where it is on PYTHONPATH; see conftest.py. The collector of cycles works less often in these
processes.
"""

from __future__ import annotations

import contextlib
import gc
import marshal
import os
import types
import typing as t
import zipimport
from _imp import source_hash
from importlib._bootstrap_external import MAGIC_NUMBER

FOLDER = os.environ.get("NUXEO_TEST_MODULE_CODE", "")
_MAGIC = int.from_bytes(MAGIC_NUMBER, "little")
_compile: t.Callable[[str, bytes], types.CodeType] = vars(zipimport)["_compile_source"]


def _kept(pathname: str, source: bytes) -> types.CodeType:
    name = f"{FOLDER}/{source_hash(_MAGIC, source).hex()}"
    with contextlib.suppress(OSError), open(name, "rb") as stream:
        return t.cast(types.CodeType, marshal.loads(stream.read()))  # noqa: S302 - of our own, renamed when whole
    code = _compile(pathname, source)
    with contextlib.suppress(OSError):  # read-only, or full
        fresh = f"{name}.{os.getpid()}"
        with open(fresh, "wb") as stream:
            stream.write(marshal.dumps(code))
        os.replace(fresh, name)
    return code


if FOLDER:
    gc.set_threshold(100_000)  # these processes end soon; looking for cycles is a tenth of their work
    vars(zipimport)["_compile_source"] = _kept
