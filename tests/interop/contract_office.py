"""The real daemon on the example's plan, baresip phones at it, and the scenarios of the contract played by them.

Scenarios whose phones are free are played at the same time.
"""

from __future__ import annotations

import threading
import time
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.rig.processes import free_port, wait_until
from bench.rig.server import OFFICE, Server
from pbx import control
from tests.contract.ladder import ladder_of
from tests.contract.scenarios import CARRIER, CARRIER_NUMBERS, STRANGER, Acts, Dials, Scenario, Taped, weight
from tests.contract.simulated import at_hours
from tests.contract.sounds import timeline
from tests.interop.baresip import Baresip

AT_ONCE: Final = 8
PHONES: Final = {
    **{str(number): 1300 + 60 * (number - 1000) for number in range(1001, 1011)},
    CARRIER: 2100,
    STRANGER: 2200,
}
EXAMPLE_CARRIER: Final = "127.0.0.1:5090"


@dataclass
class Played:
    """What came of a scenario: of each call what was heard, its ladder, and its trace."""

    heard: list[list[str]] = field(default_factory=list)
    ladders: list[str] = field(default_factory=list)
    entries: list[list[dict[str, Any]]] = field(default_factory=list)
    messages: int = 0
    taped: list[list[str]] = field(default_factory=list)


# How long phones ring in vain unless the office is patient: tests/sim plays the 20 seconds of the example.
SHORT_RING_S: Final = 4
# Of these a scenario says that their phone is not registered.
ABSENT_AT_FIRST: Final = ("1004", "1005", STRANGER)
# Of one that does so, no phone plays the part.
NOT_THERE: Final = ("absent", "silent")


class ContractOffice:
    """One daemon and its phones, those that are `there`. The `patient` office rings for as long as the example says.

    One that does not ask its trunk (by OPTIONS) learns from calls alone whether it is in service.
    """

    def __init__(
        self,
        directory: Path,
        *,
        patient: bool = False,
        there: Sequence[str] = tuple(user for user in PHONES if user not in ABSENT_AT_FIRST),
        asks_trunk: bool = True,
    ) -> None:
        self.directory = directory
        self.carrier_port = free_port(run=5)
        self._hours = ""
        self.text = OFFICE.read_text().replace(EXAMPLE_CARRIER, f"127.0.0.1:{self.carrier_port}")
        if not patient:
            assert self.text.count("ring_s = 20\n") == 1
            self.text = self.text.replace("ring_s = 20\n", f"ring_s = {SHORT_RING_S}\n")
            self.text = self.text.replace("1004 = { ", f"1004 = {{ ring_s = {SHORT_RING_S}, ")
            shown = f'1009 = {{ ring_s = {SHORT_RING_S}, password = "pass-1009" }}'
            self.text = self.text.replace('1009 = "pass-1009"', shown)
        if not asks_trunk:
            host = f'host = "127.0.0.1:{self.carrier_port}"'
            assert self.text.count(host) == 1
            self.text = self.text.replace(host, f"options_s = 0\n{host}")
        self.config = directory / "office.toml"
        self.config.write_text(self.text)
        self._starting = threading.Lock()
        self.phones: dict[str, Baresip] = {}
        # Ended together, also when one of them does not start, or does not end well.
        self._ends = ExitStack()
        with ExitStack() as started:
            self.server = Server(directory / "server", config=self.config)
            started.callback(self.server.close)
            with ThreadPoolExecutor(len(there)) as pool:
                starting = {user: pool.submit(self._start, user, started) for user in there}
            self.phones = {user: each.result() for user, each in starting.items()}
            self._ends = started.pop_all()

    def phone(self, user: str) -> Baresip:
        """The phone, which may be absent until now."""
        with self._starting:
            if user not in self.phones:
                self.phones[user] = self._start(user, self._ends)
            return self.phones[user]

    def close(self) -> None:
        self._ends.close()

    def play_all(self, scenarios: Iterable[Scenario]) -> dict[str, Played | BaseException]:
        """Every scenario, each as soon as its phones are free and those before it are done."""
        # Those that need many phones first: later they would not find them free together.
        waiting = sorted(scenarios, key=lambda each: weight(each) * len(each.users), reverse=True)
        results: dict[str, Played | BaseException] = {}
        running: dict[Future[Played], Scenario] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while waiting or running:
                for each in list(waiting):
                    if len(running) < AT_ONCE and results.keys() >= set(each.after) and self._fits(each, running):
                        waiting.remove(each)
                        running[pool.submit(self.play, each)] = each
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    results[running.pop(future).name] = future.exception() or future.result()
        return results

    def _fits(self, scenario: Scenario, running: Mapping[Future[Played], Scenario]) -> bool:
        """Whether its phones are free and the hours are its; hours that nobody else minds are turned."""
        if any(scenario.users & other.users for other in running.values()):
            return False
        if not scenario.hours or scenario.hours == self._hours:
            return True
        if any(other.hours for other in running.values()):
            return False
        self._hours = scenario.hours
        self.config.write_text(at_hours(self.text, self._hours))
        list(control.request(self.server.data, "reload", {}))
        return True

    def play(self, scenario: Scenario) -> Played:
        """Raises: AssertionError where a phone does not see what it should."""
        absent = {each.user for each in scenario.acts if each.does in NOT_THERE}
        lines = {user: _Line(self.phone(user)) for user in sorted(scenario.users - absent)}
        began = time.time()
        with ThreadPoolExecutor(len(scenario.dials) + len(scenario.acts)) as pool:
            acting = [pool.submit(lines[each.user].act, each) for each in scenario.acts if each.user in lines]
            dialling = [pool.submit(lines[each.user].dial, each, self._uri(each)) for each in scenario.dials]
            for future in [*dialling, *acting]:
                future.result()
        played = Played()
        for each in scenario.dials:
            row = wait_until(
                lambda each=each: self._row(each, began), 5, f"the trace of {each.user}'s call is complete"
            )
            entries = [dict(each) for each in control.request(self.server.data, "trace", _whole(row))]
            played.entries.append(entries)
            played.ladders.append(ladder_of(entries))
            played.heard.append(timeline(lines[each.user].heard(), PHONES) if each.hears else [])
        if scenario.kept_in:
            played.messages = len(list((self.server.data / "voicemail").rglob("*.sealed")))
        if scenario.taped is not None:
            played.taped = self._tape(scenario.taped)
        return played

    def _tape(self, taped: Taped) -> list[list[str]]:
        """What the two channels of the recording have, read from its sealed file."""

        def kept() -> list[dict[str, Any]]:
            rows = control.request(self.server.data, "recordings", {"do": "list"})
            return [dict(row) for row in rows if {row["caller"], row["callee"]} == taped.users]

        (row,) = wait_until(lambda: [row for row in kept() if row["state"] == "kept"], 5, "the recording is kept")
        assert (row["owner"], row["rule"]) == (taped.owner, taped.rule)
        exported = control.request(self.server.data, "recordings", {"do": "export", "id": row["id"]})
        samples = np.frombuffer(b"".join(b64decode(str(part["wav"])) for part in exported)[44:], "<i2").reshape(-1, 2)
        return [timeline(np.ascontiguousarray(samples[:, channel]), PHONES) for channel in (0, 1)]

    def _uri(self, dials: Dials) -> str:
        host = self.server.address if dials.user in (CARRIER, STRANGER) else "office.test"
        return f"sip:{dials.number}@{host}"

    def _row(self, dials: Dials, began: float) -> dict[str, Any] | None:
        """The newest trace of who dialled what, once it has ended."""
        for row in control.request(self.server.data, "trace", {"limit": 50}):
            is_its = (row["caller"] == dials.user or dials.user == CARRIER) and row["callee"] == dials.number
            # Of who is not let in nothing is known.
            is_its = is_its or (dials.user == STRANGER and row["fate"] == "refused")
            if not is_its or row["fate"] == "live":
                continue
            if datetime.fromisoformat(str(row["started"])).timestamp() >= began - 0.5:
                return dict(row)
        return None

    def _start(self, user: str, ends: ExitStack) -> Baresip:
        """The phone, registered; carrier and stranger do not register."""
        if user == STRANGER:
            phone = self._outside(user, free_port(run=5), CARRIER_NUMBERS[:1])
        else:
            phone = self._outside(user, self.carrier_port, CARRIER_NUMBERS) if user == CARRIER else self._phone(user)
        ends.callback(phone.close)
        if user not in (CARRIER, STRANGER):
            phone.wait_registered()
        return phone

    def _phone(self, user: str) -> Baresip:
        return Baresip(
            self.directory / user, user=user, password=f"pass-{user}", server=self.server.address,
            port=free_port(run=5), frequency=PHONES[user],
        )  # fmt: skip

    def _outside(self, user: str, port: int, numbers: Sequence[str]) -> Baresip:
        way = f'outbound="sip:{self.server.address};transport=udp";regint=0;answermode=manual'
        accounts = [f"<sip:{number}@127.0.0.1:{port}>;{way}\n" for number in numbers]
        return Baresip(
            self.directory / user, user=user, password="", server=self.server.address,
            port=port, frequency=PHONES[user], accounts="".join(accounts),
        )  # fmt: skip


def _whole(row: Mapping[str, Any]) -> dict[str, object]:
    return {"call": row["id"], "messages": True}


class _Line:
    """A phone during one scenario: what it saw before does not count."""

    def __init__(self, phone: Baresip) -> None:
        self._phone = phone
        phone.seen("")
        self._since = len(phone.events)
        self._digits = phone.digits()
        phone.forget()

    def dial(self, dials: Dials, uri: str) -> None:
        time.sleep(dials.at)
        self._phone.command("dial", uri)
        while dials.keys or dials.stays is not None:
            if self._wait_for("CALL_ESTABLISHED", 45.0, or_busy=True):
                break
            # This machine has so much else to do that the daemon takes no calls for now.
            time.sleep(1.0)
            self._since = len(self._phone.events)
            self._phone.command("dial", uri)
        self._go_on(dials.keys, dials.stays)

    def _go_on(self, presses: tuple[tuple[float, str], ...], stays: float | None) -> None:
        for delay, keys in presses:
            time.sleep(delay)
            self._phone.press(keys)
        if stays is not None:
            time.sleep(stays)
            self._phone.command("hangup")
        self._wait_for("CALL_CLOSED", 45.0)

    def act(self, act: Acts) -> None:
        self._wait_for("CALL_INCOMING", 45.0)
        if act.does != "rings":
            time.sleep(act.after)
            self._phone.command("accept" if act.does == "answers" else "hangup")
        if act.then or act.keys or act.stays is not None:
            self._wait_for("CALL_ESTABLISHED", 5.0)
        if act.then:
            time.sleep(1.5)
            self._phone.command("transfer", f"sip:{act.then}@office.test")
        self._go_on(act.keys, act.stays)
        digits = self._phone.digits().removeprefix(self._digits)
        assert digits == act.gets, f"{act.user} was told {digits}"

    def heard(self) -> Any:
        return self._phone.heard()

    def _wait_for(self, kind: str, timeout: float, *, or_busy: bool = False) -> bool:
        """Returns when it is seen; False for a call that was refused by 503, where that is asked."""

        def seen() -> str:
            self._phone.seen(kind)
            for event in self._phone.events[self._since :]:
                if event.get("type") == kind:
                    return kind
                if or_busy and event.get("type") == "CALL_CLOSED" and str(event.get("param")).startswith("503"):
                    return "503"
            return ""

        return wait_until(seen, timeout, f"{self._phone.user} sees {kind}; has {self._kinds()}") == kind

    def _kinds(self) -> list[object]:
        return [event.get("type") for event in self._phone.events[self._since :]]
