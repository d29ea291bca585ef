"""An office of real phones at one daemon, over any transport: what the drivers have in common and scenarios ask."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Protocol

from bench.rig.processes import free_port, wait_until
from bench.rig.server import OFFICE, Server
from tests.certificates import Authority
from tests.interop.linphone import Linphone
from tests.interop.tones import Samples, dominant_frequency, longest_gap_ms

_numbers = count()
FREQUENCIES = {
    "1001": 440.0,
    "1002": 880.0,
    "1003": 1320.0,
    "1004": 550.0,
    "1005": 1100.0,
    "1006": 660.0,
    "+12025550199": 770.0,
    "+12025550298": 990.0,
    "+12025550299": 1210.0,
}
# What the daemon logs when its media is late, and when it is in time again.
REFUSING = "new calls are refused"
TAKING = "media is in time again"


_OFFICE_WITH_TRUNK = """\
[server]
default_tenant = "office.test"
{server}[[tenant]]
domain = "office.test"
digest = ["MD5"]
country_code = "+1"
[tenant.extensions]
1001 = {{ password = "pass-1001", transfer = true }}
1002 = "pass-1002"
[[tenant.trunk]]
name = "carrier"
host = "{carrier}"
transport = "{transport}"
{trunk}options_s = 5
caller_id = "+12025550100"
[[tenant.did]]
number = "+12025550101"
target = "1001"
[[tenant.route]]
name = "outside"
pattern = "9X."
strip = 1
trunks = ["carrier"]
"""


def office_with_trunk(carrier: str, transport: str, *, server: str = "", trunk: str = "") -> str:
    """The configuration of two extensions and a trunk to `carrier`; `server` and `trunk` are more lines of each."""
    return _OFFICE_WITH_TRUNK.format(carrier=carrier, transport=transport, server=server, trunk=trunk)


class Phone(Protocol):
    """What a scenario asks of a phone."""

    user: str

    def wait_registered(self, timeout: float = 20.0) -> None: ...
    def dial(self, target: str) -> None: ...
    def answer(self, timeout: float = 20.0) -> None: ...
    def wait_talking(self, timeout: float = 20.0) -> None: ...
    def hold(self) -> None: ...
    def resume(self) -> None: ...
    def transfer(self, target: str) -> None: ...
    def hang_up(self) -> None: ...
    def wait_no_call(self, timeout: float = 20.0) -> None: ...
    def mark(self) -> None: ...
    def heard(self) -> Samples: ...
    def close(self) -> None: ...


class Office:
    """A server that listens for UDP and TCP on one port and TLS on the next, and phones at it.

    `transport` is a name of the table: "UDP", "TLS over IPv6".
    """

    def __init__(
        self,
        directory: Path,
        stack: ExitStack,
        *,
        ipv6: bool = False,
        config: Path = OFFICE,
        port: int = 0,
        authority: Authority | None = None,
        **settings: str,
    ) -> None:
        self.directory = directory
        self._phones: list[Phone] = []
        self.host = "::1" if ipv6 else "127.0.0.1"
        self.authority = authority or Authority(directory / "certificates")
        pair = self.authority.issue("office.test", "localhost", self.host, stem="server")
        port = port or free_port(run=2)
        bracketed = f"[{self.host}]" if ipv6 else self.host
        listen = ",".join(f"{scheme}://{bracketed}:{number}" for scheme, number in _listeners(port))
        tls = {"server.tls.certificate": str(pair.chain), "server.tls.key": str(pair.key)}
        always = {"server.listen": listen, "server.media": f"{bracketed}:20000-29999", **tls}
        # Without music a phone that is held is told so, which it shows.
        always["tenant.office.test.music"] = ""
        self.server = Server(directory / "server", config=config, port=port, **{**always, **settings})
        stack.callback(self.server.close)
        stack.callback(self.clear)

    def phone(self, kind: Callable[..., Any], user: str, transport: str, **settings: Any) -> Any:
        """Its tone is `FREQUENCIES[user]`."""
        protocol = transport.split()[0].lower()
        secure = protocol == "tls"
        host = f"[{self.host}]" if ":" in self.host else self.host
        if secure and kind is Linphone:
            host = "localhost"  # its mbed TLS finds no IP address in a certificate
        made = kind(
            self.directory / f"phone-{next(_numbers)}",
            user=user,
            password=f"pass-{user}",
            server=f"{host}:{self.server.port + secure}",
            port=free_port(run=5),
            frequency=FREQUENCIES[user],
            host=self.host,
            transport=protocol,
            trusted=self.authority.file if secure else None,
            **settings,
        )
        self._phones.append(made)
        return made

    def ring(self, act: Callable[[], None], callee: Phone) -> None:
        """`act` lets the callee's phone ring, and it answers.

        Again and again as long as the daemon refuses calls because its media is late (VP-2007): this machine has too
        much to do, and neither peer is at fault.
        """
        for _ in range(5):
            before = wait_in_time(self.server)
            act()
            try:
                return callee.answer(30)
            except AssertionError:
                if self.server.process.output().count(REFUSING) == before:
                    raise
        raise AssertionError("the daemon's media was late for too long")

    def connect(self, caller: Phone, callee: Phone, number: str = "") -> None:
        """The caller dials, the callee answers, both have the call."""
        self.ring(lambda: caller.dial(number or callee.user), callee)
        caller.wait_talking()
        callee.wait_talking()

    def clear(self) -> None:
        """Every phone ends."""
        while self._phones:
            self._phones.pop().close()

    def cdrs(self, count: int) -> list[dict[str, Any]]:
        """The records, when `count` are complete."""
        wait_until(
            lambda: len([row for row in self.server.rows("cdr") if row["ended"]]) >= count,
            8,
            f"{count} CDRs are complete",
        )
        return self.server.rows("cdr")


def wait_in_time(server: Server) -> int:
    """Waits while the daemon refuses calls because its media is late; how often it did so far."""

    def is_in_time() -> bool:
        output = server.process.output()
        return output.count(REFUSING) <= output.count(TAKING)

    wait_until(is_in_time, 90, "the daemon's media is in time")
    return server.process.output().count(REFUSING)


def _listeners(port: int) -> tuple[tuple[str, int], ...]:
    return ("udp", port), ("tcp", port), ("tls", port + 1)


def hold_and_resume(holder: Linphone, held: Linphone, *, told: bool = True) -> None:
    """The holder hears nothing meanwhile; afterwards they talk. `told`: the held phone sees that it is."""
    holder.hold()
    holder.wait_for("Paused")
    if told:
        held.wait_for("PausedByRemote")
    holder.mark()
    time.sleep(0.5)
    assert not len(holder.heard())
    holder.resume()
    held.wait_talking()
    talk(holder, held)


def hold_shown(holder: Phone, held: Linphone) -> None:
    """The held phone sees both; the holder's word is not asked."""
    holder.hold()
    held.wait_for("PausedByRemote")
    holder.resume()
    held.wait_talking()


def call_back(office: Office, callee: Phone, caller: Phone) -> None:
    """The two talk, the caller hangs up, and its callee calls it: they talk again."""
    talk(callee, caller)
    caller.hang_up()
    callee.wait_no_call()
    office.connect(callee, caller)
    talk(callee, caller)


def flow_of(phone: Linphone) -> str:
    """The first lines of what it sent and took, in order."""
    return "\n".join(re.findall(r"^(?:SIP/2\.0 \d+ .*|[A-Z]+ sip:.* SIP/2\.0)\r?$", phone.log(), re.M))


def transfer_blind(office: Office, transferor: Phone, transferee: Phone, target: Phone) -> None:
    """The two talk; in the end the other two do, and hang up."""
    office.ring(lambda: transferor.transfer(target.user), target)
    target.wait_talking()
    transferor.wait_no_call()
    talk(transferee, target)
    target.hang_up()
    transferee.wait_no_call()
    target.wait_no_call()


def transfer_attended(office: Office, transferor: Linphone, transferee: Phone, target: Phone, number: str = "") -> None:
    """The two talk; the transferor asks the target first; in the end the other two talk, and hang up."""
    first = next(iter(transferor.calls()))
    transferor.hold()
    transferor.wait_for("Paused")
    office.ring(lambda: transferor.dial(number or target.user), target)
    second = transferor.wait_for("StreamsRunning")
    talk(transferor, target)
    transferor.transfer_to_call(first, second)
    transferor.wait_no_call()
    talk(transferee, target)
    target.hang_up()
    transferee.wait_no_call()
    target.wait_no_call()


def hears(phone: Phone, frequency: float) -> None:
    """A tone, for a second, without a hole."""
    phone.mark()
    _heard(phone, frequency)


def talk(first: Phone, second: Phone) -> None:
    """Each hears the other's tone."""
    first.mark()
    second.mark()
    _heard(first, FREQUENCIES[second.user])
    _heard(second, FREQUENCIES[first.user])


def _heard(phone: Phone, frequency: float) -> None:
    """The newest second is asked again and again: a pause of the machine is a hole, and passes."""
    seen = ""

    def is_heard() -> bool:
        nonlocal seen
        samples = phone.heard()
        last = samples[-8000:]
        if len(samples) < 10_000:
            seen = f"{len(samples)} samples"
            return False
        seen = f"{dominant_frequency(last):.0f} Hz with a hole of {longest_gap_ms(last):.0f} ms"
        return abs(dominant_frequency(last) - frequency) <= 2 and longest_gap_ms(last) <= 60

    try:
        wait_until(is_heard, 20, f"{phone.user} hears {frequency:.0f} Hz for a second")
    except AssertionError as error:
        raise AssertionError(f"{error}; it hears {seen}") from None
