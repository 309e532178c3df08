# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for a step of hours, a module with C(async), for as long as there is one to wait for, and shows how far it is.

Ansible itself believes the note that the step is on until the time that it may take is over. Here the step has failed
as soon as its process has ended without a result (killed, or its node was booted), and when its node has been out of
reach for C(nuxeo_platform_lost_timeout) seconds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import time
import typing as t

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.nuxeo.platform.plugins.module_utils._progress import progress_line

LOST = "nuxeo_platform_lost_timeout"
NOTHING_KNOWN = "could not find job"
"""What M(ansible.builtin.async_status) says of a step that has noted nothing, beside that it has ended."""
GONE = (
    "its process has ended without a result: it was killed, the node was booted, or the disk of ~/.ansible_async is "
    "full. Run again."
)
TELL = 30.0
"""Seconds between two lines about how far a step is."""
Result = dict[str, t.Any]


@dataclasses.dataclass
class Step:
    """What runs in the background of a node."""

    name: str
    job: str
    poll: int
    progress: str | None
    node: str
    folder: str | None = None
    """Where Ansible has laid its module down, with all that it was told."""
    left: list[str] = dataclasses.field(default_factory=list)
    """Folders of Ansible that are on the node still, if it was not booted."""

    def failed(self, why: str) -> Result:
        """The result of a step that has none."""
        return {"failed": True, "msg": f"Wait for {self.name} on {self.node}: {why}"}

    def told(self, note: Result) -> Result:
        """What the step has told; where Ansible's own part on the node had to tell it, in words."""
        if "cmd" in note and str(note.get("msg")).startswith("Traceback"):
            why = "its module has told no result: it was killed, as the kernel does where memory is short."
            why += " Look into the log of the node, and run again."
        elif "child_pid" in note:
            why = "it took longer than its async allows, and was killed. Set more seconds."
        else:
            return note
        note.pop("exception", None)  # it has the other words
        return {**note, **self.failed(why)}

    @property
    def words(self) -> list[str]:
        """What a process of it has in its command line: Ansible's own part on the node, and the module."""
        return [self.job.partition(".")[0], *([os.path.basename(self.folder.rstrip("/"))] if self.folder else [])]


class LongStep(ActionBase):
    """What the action plugins of modules that may take long have in common."""

    _requires_connection = True
    _supports_check_mode = True
    _supports_async = True

    def _module(self, name: str, arguments: Result, variables: Result) -> Result:
        """The result of a module at its end, or that of its start where the task does not poll."""
        patience = self._patience(variables)
        apart = bool(self._task.async_val) and not self._connection.has_native_async
        if apart and not self._connection._shell.tmpdir:
            self._make_tmp_path()
        folder = self._connection._shell.tmpdir
        result = self._execute_module(module_name=name, module_args=arguments, task_vars=variables, wrap_async=apart)
        if not apart or not self._task.poll or result.get("failed"):
            return dict(result)
        time.sleep(self._task.poll)
        node = str(self._task.delegate_to or variables.get("inventory_hostname"))
        step = Step(name, result["ansible_job_id"], self._task.poll, arguments.get("progress"), node, folder)
        ended = self._ended(step, patience, variables)
        if not ended.get("failed"):
            self._task.async_val = 0  # else Ansible would wait for the same step now
        return ended

    def _patience(self, variables: Result) -> int:
        given = self._templar.template(variables.get(LOST, 3600))
        with contextlib.suppress(TypeError, ValueError):
            if int(given) > 0:
                return int(given)
        raise AnsibleActionFail(
            f"Check of {LOST}: it is {given!r}. Give the seconds that a node may be out of reach while a step is on."
        )

    def _ended(self, step: Step, patience: int, variables: Result) -> Result:
        seen = told = time.monotonic()
        while True:
            due = step.progress is not None and time.monotonic() - told >= TELL
            try:
                works, progress = self._look(step, due)  # before the note: what ends has written its result by then
                note = self._note(step.job, "status", variables)
            except (AnsibleError, OSError) as error:  # the second of this host, where a disk is full for a moment
                if time.monotonic() - seen >= patience:
                    return step.failed(
                        f"for {patience} s the node could not be reached, {error}. See to the node, and run again."
                    )
                self._reconnect(step)
            else:
                seen = time.monotonic()
                known = note.get("finished") and note.get("msg") != NOTHING_KNOWN
                if known or not works:
                    self._forget(step, bool(known), variables)
                    return step.told(note) if known else step.failed(GONE)
                if due:
                    told = seen
                    if progress:  # what a program reads is no place for it
                        by_program = "json" in str(constants.DEFAULT_STDOUT_CALLBACK)
                        self._display.display(f"{step.node}: {progress}", stderr=by_program)
            time.sleep(step.poll)

    def _look(self, step: Step, due: bool) -> tuple[bool, str]:
        """Whether a process of it is on the node, and how far it is where that is ``due``."""
        patterns = " ".join(f"-e '[{word[0]}]{word[1:]}'" for word in step.words)  # not found in what looks for them
        show = f"; cat {shlex.quote(str(step.progress))}" if due else ""
        looked = "[ $? -le 2 ] && echo looked"  # 2: one has ended meanwhile; with more grep itself could not be run
        done = self._low_level_execute_command(f"grep -ls {patterns} /proc/[0-9]*/cmdline; {looked}{show}")
        lines = str(done.get("stdout", "")).splitlines()
        if "looked" not in lines:
            raise AnsibleError(f"its processes could not be seen: {done.get('stderr') or done.get('stdout')}")
        at = lines.index("looked")
        works = any(line.startswith("/proc/") for line in lines[:at])  # a shell may say more than it was asked
        return works, progress_line("".join(lines[at + 1 :]))

    def _note(self, job: str, mode: str, variables: Result) -> Result:
        folder = self._remote_expand_user(self.get_shell_option("async_dir", default="~/.ansible_async"))
        arguments = {"jid": job, "mode": mode, "_async_dir": folder}
        told = self._execute_module("ansible.legacy.async_status", module_args=arguments, task_vars=variables)
        if "ansible_job_id" not in told:  # so it is not what the node's Ansible has said
            raise AnsibleError(f"its note could not be read: {told.get('msg')}")
        return dict(told)

    def _reconnect(self, step: Step) -> None:
        step.left += filter(None, [self._connection._shell.tmpdir])
        self._connection._shell.tmpdir = None  # it may be no more
        with contextlib.suppress(AnsibleError, AttributeError, OSError):
            self._connection.reset()

    def _forget(self, step: Step, known: bool, variables: Result) -> None:
        with contextlib.suppress(AnsibleError, OSError):
            self._note(step.job, "cleanup", variables)
            self.cleanup(force=True)
            left = [*step.left, *([step.folder] if step.folder and not known else [])]
            for folder in [] if constants.DEFAULT_KEEP_REMOTE_FILES else left:
                self._remove_tmp_path(folder, force=True)  # nobody is left who would


class ActionModule(LongStep):
    """One wait for a step, or one call of another module that may be one."""

    def run(self, tmp: str | None = None, task_vars: Result | None = None) -> Result:
        """Run the task."""
        variables = task_vars or {}
        super().run(tmp, variables)
        if self._task.action.rpartition(".")[2] != "long_step":
            return self._module(self._task.action, self._task.args, variables)
        options: Result = {name: {"type": "str", "required": True} for name in ("jid", "step")}
        options.update({"poll": {"type": "int", "default": 2}, "progress": {"type": "path"}})
        _whole, given = self.validate_argument_spec(argument_spec=options)
        if given["poll"] < 1:
            raise AnsibleActionFail(f"Wait for {given['step']}: poll is {given['poll']}. Give 1 or more seconds.")
        node = str(self._task.delegate_to or variables.get("inventory_hostname"))
        step = Step(given["step"], given["jid"], given["poll"], given["progress"], node)
        return self._ended(step, self._patience(variables), variables)
