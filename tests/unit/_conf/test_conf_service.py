# Copyright (c) 2026 Nuxeo Platform collection contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting and stopping by a systemd unit, with a stand-in for systemctl: what is asked of it and what is believed."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import kept
from ansible_collections.nuxeo.platform.plugins.module_utils._conf import service as service_module
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.errors import ConfError
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.process import BOOTSTRAP, Running, is_starting
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.resolve import resolve
from ansible_collections.nuxeo.platform.plugins.module_utils._conf.service import Service
from ansible_collections.nuxeo.platform.tests.unit._conf.systemctl import Systemctl, service
from servers.playbook import wait_for


def test_unit(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # nobody is asked about a server of this host
    monkeypatch.setenv("no_proxy", "")
    systemctl = Systemctl(conf)
    one = service(conf, systemctl, 30)
    started = one.start()
    assert systemctl.child and started.pid == systemctl.child.pid
    assert conf.with_name("asked").read_text().splitlines() == ["/docs/runningstatus?info=started"] * 3
    one.stop()
    assert one.servers() == []
    assert systemctl.calls == [
        ["systemctl", "show", "--property=LoadState", "--", "nuxeo.service"],
        ["systemctl", "show", "--property=ActiveState", "--", "nuxeo.service"],
        ["systemctl", "start", "--", "nuxeo.service"],
        ["systemctl", "show", "--property=LoadState", "--", "nuxeo.service"],
        ["systemctl", "stop", "--", "nuxeo.service"],
    ]


def test_a_server_that_its_unit_has_stopped_is_read_as_it_ran(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What starts nuxeoctl need not be in the files of a unit: a wrapper, an old init script, what a shell sources."""
    (conf.parent.parent / "templates/custom").mkdir()
    (conf.parent.parent / "templates/custom/nuxeo.defaults").touch()
    with conf.open("a") as stream:
        stream.write("nuxeo.db.password=${env:DB_PW}\n")
    one = service(conf, Systemctl(conf), 30)
    monkeypatch.setenv("NUXEO_PROFILES", "custom")
    monkeypatch.setenv("DB_PW", "canary")
    one.start()
    monkeypatch.delenv("NUXEO_PROFILES")
    monkeypatch.delenv("DB_PW")
    one.stop()
    found = resolve(str(conf), str(conf.parent.parent), None, "2023")
    assert (found.templates, found.get("nuxeo.db.password")) == (["custom"], "canary")
    one.start()
    assert kept.kept(str(conf)) is None, "its process has it"
    one.stop()


LINGERS = """
import ctypes, os, signal, sys, threading, time

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
stopped = threading.Event()

def last_words():
    stopped.wait()
    time.sleep(0.5)
    with open(sys.argv[1], "w") as file:
        file.write("last words")
    os._exit(0)

threading.Thread(target=last_words).start()
print("ready", flush=True)
signal.sigwait([signal.SIGTERM])
stopped.set()
ctypes.CDLL(None).pthread_exit(None)
"""
"""When it is told to end its first thread does, and with it goes the command line; the other still writes."""


def test_a_process_that_is_ending_may_still_write(conf: Path) -> None:
    words = [sys.executable, "-c", LINGERS, str(conf.with_name("last")), f"-Dnuxeo.conf={conf}", BOOTSTRAP, "start"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdout.readline()
        line = Path(f"/proc/{child.pid}/cmdline")

        def systemctl(argv: list[str], environment: dict[str, str] | None) -> tuple[int, str, str]:
            if argv[1] == "stop":
                child.terminate()
                wait_for(lambda: not line.read_bytes(), 10)
            return 0, "LoadState=loaded\n", ""

        one = Service("nuxeo.service", resolve(str(conf), str(conf.parent.parent), {}, "2023"), systemctl, 30)
        assert len(one.servers()) == 1
        one.stop()
        assert conf.with_name("last").read_text() == "last words"


def test_a_masked_unit_is_not_stopped_since_nothing_could_start_it(conf: Path) -> None:
    systemctl = Systemctl(conf)
    one = service(conf, systemctl, 30)
    one.start()
    systemctl.state = "masked"
    try:
        with pytest.raises(ConfError, match="the unit is masked"):
            one.stop()
        assert one.servers()
    finally:
        systemctl.state = "loaded"
        one.stop()


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("loaded", []),
        ("masked", ["the unit is masked. Unmask it."]),
        ("not-found", ["systemd has it as 'not-found'. Give the name of the unit of Nuxeo, or nuxeoctl."]),
        ("", ["systemd does not tell, without a word. Give the name of the unit of Nuxeo, or nuxeoctl."]),
    ],
)
def test_what_could_not_start_it_is_known_before(conf: Path, state: str, told: list[str]) -> None:
    systemctl = Systemctl(conf)
    systemctl.state = state
    assert service(conf, systemctl, 0).problems() == [f"Start of Nuxeo by 'nuxeo.service': {why}" for why in told]
    by_control = service(conf, systemctl, 0)
    by_control.name = str(conf)
    assert by_control.problems() == [
        f"Start of Nuxeo by '{conf}': '{conf}' is no program. Give its path, or the name of a unit."
    ]


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (False, ", since '/var/tmp/nuxeo-platform-[0-9]+' is not private"),
        (OSError(28, "No space left on device"), ": No space left on device at '/var/tmp/nuxeo-platform-[0-9]+'. Make"),
    ],
)
def test_without_a_private_place_for_its_environment_it_is_not_stopped(
    conf: Path, monkeypatch: pytest.MonkeyPatch, found: bool | OSError, why: str
) -> None:
    systemctl = Systemctl(conf)
    one = service(conf, systemctl, 30)
    one.start()

    def keep(*_words: object) -> bool:
        if isinstance(found, OSError):
            raise found
        return found

    monkeypatch.setattr(kept, "keep", keep)
    try:
        by_control = service(conf, systemctl, 30)
        by_control.name = "/bin/true"
        for each in (by_control, one):
            with pytest.raises(ConfError, match=f"its environment cannot be kept until the next start{why}"):
                each.stop()
        assert one.servers()
    finally:
        monkeypatch.undo()
        one.stop()


@pytest.mark.parametrize("version", ["8.10", "9.10", "10.10", "2021", "2023", "2025"])
def test_beside_https_it_is_asked_where_the_stock_template_serves_http(conf: Path, version: str) -> None:
    def asked(more: str) -> str:
        conf.write_text(f"nuxeo.bind.address=192.0.2.7\n{more}", encoding="utf-8")
        found = resolve(str(conf), str(conf.parent.parent), {}, version)
        return Service("nuxeo.service", found, Systemctl(conf), 1).address()

    assert asked("nuxeo.server.https.port=8443\n") == "http://127.0.0.1:8080/nuxeo/runningstatus?info=started"
    assert asked("nuxeo.server.https.port=0\n") == "http://192.0.2.7:8080/nuxeo/runningstatus?info=started"
    assert asked("") == "http://192.0.2.7:8080/nuxeo/runningstatus?info=started"


@pytest.mark.parametrize(
    ("version", "more", "url"),
    [
        ("2023", "", "http://192.0.2.7:8180/docs"),
        ("2023", "nuxeo.management.api.http.port=8190\n", "http://192.0.2.7:8190/docs"),
        ("2025", "nuxeo.management.api.http.port=8190\nnuxeo.server.https.port=8443\n", "http://192.0.2.7:8190/docs"),
        ("10.10", "nuxeo.management.api.http.port=8190\n", "http://192.0.2.7:8180/docs"),
        ("10.10", "nuxeo.server.https.port=8443\n", "http://127.0.0.1:8180/docs"),
    ],
)
def test_administrators_are_heard_where_the_configuration_says(conf: Path, version: str, more: str, url: str) -> None:
    """Another instance of the host may answer on the usual port: it must not be the one whose index is emptied."""
    lines = "nuxeo.bind.address=192.0.2.7\nnuxeo.server.http.port=8180\norg.nuxeo.ecm.contextPath=/docs\n"
    conf.write_text(lines + more, encoding="utf-8")
    found = resolve(str(conf), str(conf.parent.parent), {}, version)
    assert Service("nuxeo.service", found, Systemctl(conf), 1).management() == url


class Slow(Systemctl):
    """Says that it has started the server a moment before it does."""

    def __call__(self, argv: list[str], environment: dict[str, str] | None) -> tuple[int, str, str]:
        if argv[1] != "start":
            return super().__call__(argv, environment)
        threading.Timer(0.7, super().__call__, (argv, environment)).start()
        return 0, "", ""


@pytest.mark.parametrize("kind", [Systemctl, Slow])
def test_one_that_was_ending_is_started(conf: Path, kind: type[Systemctl]) -> None:
    """A stop that took too long: what runs still is not what is wanted."""
    systemctl = kind(conf)
    one = service(conf, systemctl, 30)
    ending = one.start()
    child = systemctl.child
    assert child
    conf.with_name("asked").write_text("")  # it does not say that it has started any more

    def end() -> None:
        child.kill()
        child.wait()

    threading.Timer(0.2, end).start()
    try:
        assert one.start().pid != ending.pid
    finally:
        one.stop()


def test_what_a_launcher_is_about_to_start_counts(conf: Path, tmp_path: Path) -> None:
    systemctl = Systemctl(conf)
    one = service(conf, systemctl, 30)
    words = [sys.executable, "-c", "import time; time.sleep(60)", f"-Dnuxeo.conf={conf}", "-jar"]
    other = subprocess.Popen([*words, "/tmp/nuxeo-launcher-1.jar", "--quiet", "status"])
    assert not is_starting(str(conf)) and one.settled() == []
    launcher = subprocess.Popen([*words, "/tmp/nuxeo-launcher-7.jar", "--quiet", "startbg"])
    try:
        wait_for(lambda: is_starting(str(conf)))
        assert not is_starting(str(tmp_path / "other.conf"))
        threading.Timer(0.3, lambda: systemctl(["systemctl", "start"], None)).start()
        assert [server.pid for server in one.settled()] == [systemctl.child.pid]  # type: ignore[union-attr]
    finally:
        for process in (other, launcher):
            process.kill()
            process.wait()
        one.stop()


def test_a_launcher_that_ends_while_one_looks_has_started_it(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be told that nothing runs."""
    one, looks = service(conf, Systemctl(conf), 30), []
    server = Running(4711, str(conf), None, "1")
    monkeypatch.setattr(service_module, "is_starting", lambda _conf: looks.append(1) or len(looks) == 1)
    monkeypatch.setattr(service_module, "running", lambda _conf: [server] if looks.append(1) or len(looks) > 1 else [])
    assert one.settled() == [server]


def test_a_launcher_that_does_not_end_is_no_stopped_server(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "is_starting", lambda _conf: True)
    with pytest.raises(ConfError, match="after 0 s a launcher is still about to start it"):
        service(conf, Systemctl(conf), 0).settled()


def test_what_a_launcher_is_about_to_start_is_not_started_twice(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both would be told to have the port."""
    systemctl, asked = Systemctl(conf), []

    def starting(_conf: str) -> bool:
        asked.append(1)
        if len(asked) == 2:
            systemctl(["systemctl", "start"], None)
        return len(asked) < 3

    monkeypatch.setattr(service_module, "is_starting", starting)
    one = service(conf, systemctl, 30)
    try:
        assert one.start().pid == systemctl.child.pid  # type: ignore[union-attr]
        assert systemctl.calls == [["systemctl", "start"]], "the launcher's own"
    finally:
        one.stop()


def test_a_unit_that_only_says_so(conf: Path) -> None:
    with pytest.raises(ConfError, match="after 1 s no process has its nuxeo.conf in the command line"):
        service(conf, Systemctl(conf, honest=False), 1).start()


def test_an_address_that_another_program_has(conf: Path) -> None:
    port = int(Systemctl(conf).port)
    with socket.create_server(("127.0.0.1", port)):
        systemctl = Systemctl(conf)
        with pytest.raises(ConfError, match=rf"127\.0\.0\.1:{port} is taken by another program"):
            service(conf, systemctl, 30).start()
        assert not systemctl.calls


def test_what_does_not_speak_http_is_no_answer(conf: Path) -> None:
    """A port of HTTPS, say: its alert is no line of HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _address = other.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"\x15\x03\x01\x00\x02\x02P")

        threading.Thread(target=answer, daemon=True).start()
        systemctl = Systemctl(conf)
        one = service(conf, systemctl, 0)
        one.url = f"http://127.0.0.1:{other.getsockname()[1]}/docs"
        try:
            with pytest.raises(ConfError, match="after 0 s process [0-9]+ runs, but .* says BadStatusLine: "):
                one.start()
        finally:
            one.stop()


def test_a_url_that_others_answer_for_is_not_its_own_address(conf: Path) -> None:
    systemctl = Systemctl(conf)
    with socket.create_server(("127.0.0.1", int(systemctl.port))):
        one = service(conf, Systemctl(conf, honest=False), 1)
        one.url = f"http://127.0.0.1:{systemctl.port}/docs"
        with pytest.raises(ConfError, match="after 1 s no process has its nuxeo.conf"):
            one.start()


def test_a_unit_that_stops_another_process(conf: Path) -> None:
    honest = Systemctl(conf)
    service(conf, honest, 30).start()
    try:
        with pytest.raises(ConfError, match=rf"after 1 s process {honest.child.pid} still runs"):  # type: ignore[union-attr]
            service(conf, Systemctl(conf, honest=False), 1).stop()
    finally:
        service(conf, honest, 30).stop()


class Complaining(Systemctl):
    """Ends with an exit code, whatever it has done."""

    def __call__(self, argv: list[str], environment: dict[str, str] | None) -> tuple[int, str, str]:
        _rc, out, _err = super().__call__(argv, environment)
        return (0, out, "") if argv[1] == "show" else (1, out, "no  such\nluck\n")


def test_a_stop_that_complains_has_stopped_it_or_not(conf: Path) -> None:
    """Its process decides: nuxeoctl ends so where it had to kill it."""
    honest = Systemctl(conf)
    one = service(conf, honest, 30)
    one.start()
    try:
        with pytest.raises(ConfError, match="exit code 1, no such luck"):
            service(conf, Complaining(conf, honest=False), 30).stop()
        complaining = Complaining(conf)
        complaining.child = honest.child
        service(conf, complaining, 30).stop()
        assert not one.servers()
    finally:
        one.stop()


def test_a_start_that_complains_has_started_it_or_not(conf: Path) -> None:
    """Somebody else may start it at the same moment: a service manager, or a second name of this host."""
    with pytest.raises(ConfError, match="exit code 1, no such luck. Read nuxeoctl.log and server.log"):
        service(conf, Complaining(conf, honest=False), 30).start()
    complaining = Complaining(conf)
    started = service(conf, complaining, 30).start()
    assert complaining.child and started.pid == complaining.child.pid
    assert conf.with_name("asked").read_text().splitlines() == ["/docs/runningstatus?info=started"] * 3
    service(conf, complaining, 30).stop()


def test_the_server_that_has_just_taken_its_address(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = service(conf, Systemctl(conf), 30)
    started = one.start()
    looks: list[list[Running]] = [[]]
    look = service_module.running
    monkeypatch.setattr(service_module, "running", lambda path: looks.pop() if looks else look(path))
    try:
        assert service(conf, Systemctl(conf, honest=False), 30).start().pid == started.pid and not looks
    finally:
        one.stop()


def test_a_server_that_somebody_starts_again_while_it_is_stopped(conf: Path) -> None:
    class Restless(Systemctl):
        def __call__(self, argv: list[str], environment: dict[str, str] | None) -> tuple[int, str, str]:
            answer = super().__call__(argv, environment)
            if argv[1] == "stop":
                time.sleep(0.1)  # processes are told apart by the hundredth of a second
                super().__call__(["systemctl", "start"], environment)
            return answer

    restless = Restless(conf)
    service(conf, restless, 30).start()
    try:
        with pytest.raises(ConfError, match="somebody has started it again as process [0-9]+ at once"):
            service(conf, restless, 30).stop()
    finally:
        if restless.child:
            restless.child.kill()
            restless.child.wait()


def test_a_server_that_ends_while_it_starts(conf: Path) -> None:
    class Dying(Systemctl):
        def __call__(self, argv: list[str], environment: dict[str, str] | None) -> tuple[int, str, str]:
            answer = super().__call__(argv, environment)
            child = self.child

            def end() -> None:
                if child:
                    child.kill()
                    child.wait()

            threading.Timer(0.7, end).start()
            return answer

    with pytest.raises(ConfError, match="its process [0-9]+ has ended"):
        service(conf, Dying(conf), 30).start()


def test_a_server_that_runs_is_not_started_again(conf: Path) -> None:
    systemctl = Systemctl(conf)
    one = service(conf, systemctl, 30)
    one.start()
    try:
        one.start()
        assert [call[1] for call in systemctl.calls].count("start") == 1, "it runs"
    finally:
        one.stop()
