"""Real phones with SRTP: keys in SDP and by a handshake, in G.711, G.722 and Opus, transcoded where they share none."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.certificates import Authority
from tests.interop.baresip import Baresip
from tests.interop.linphone import Linphone
from tests.interop.tones import dominant_frequency, longest_gap_ms, toned_seconds

pytestmark = pytest.mark.interop

LISTENING_S = 1.5


class Office:
    """A server that wants every call encrypted, and phones at it over TLS."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory, self.phones = directory, ExitStack()
        self._seen: set[str] = set()
        stack.callback(self.close_phones)
        self.authority = Authority(directory / "certificates")
        pair = self.authority.issue("office.test", "127.0.0.1", "localhost", stem="server")
        port = free_port(run=2)
        self.server = stack.enter_context(
            closing(
                Server(
                    directory / "server",
                    port=port,
                    **{
                        "server.listen": f"udp://127.0.0.1:{port},tcp://127.0.0.1:{port},tls://127.0.0.1:{port + 1}",
                        "server.tls.certificate": str(pair.chain),
                        "server.tls.key": str(pair.key),
                        "server.srtp": "required",
                        # G.729, which linphone has too, would be passed on.
                        "server.codecs": "opus,G722,PCMU,PCMA",
                        # What 1002 is offered; it answers, and 1001 and 1003 offer, as they please.
                        "tenant.office.test.extensions.1002.srtp_exchange": "dtls",
                    },
                )
            )
        )

    def baresip(
        self, user: str, frequency: float, encryption: str, codecs: Sequence[str], *, tls: bool = True
    ) -> Baresip:
        phone = Baresip(
            self.directory / user,
            user=user,
            password=f"pass-{user}",
            server=f"127.0.0.1:{self.server.port + 1}" if tls else self.server.address,
            port=free_port(run=5),
            frequency=frequency,
            trusted=self.authority.file if tls else None,
            encryption=encryption,
            codecs=codecs,
        )
        self.phones.callback(phone.close)
        phone.wait_registered()
        return phone

    def linphone(self, user: str, frequency: float, encryption: str, codecs: Sequence[str]) -> Linphone:
        phone = Linphone(
            self.directory / user,
            user=user,
            password=f"pass-{user}",
            server=f"localhost:{self.server.port + 1}",
            port=free_port(run=2),
            frequency=frequency,
            transport="tls",
            trusted=self.authority.file,
            encryption=encryption,
            mandatory=True,
            codecs=codecs,
        )
        self.phones.callback(phone.close)
        phone.wait_registered()
        return phone

    def close_phones(self) -> None:
        """Those of one test."""
        self.phones.close()

    def _ended_legs(self) -> list[dict[str, Any]] | None:
        rows = [row for row in self.server.rows("cdr", "--legs") if row["id"] not in self._seen]
        return rows if len(rows) == 2 and all(row["ended"] for row in rows) else None

    def legs(self) -> dict[str, tuple[str, str]]:
        """Codec and encryption of each leg of the one call, by the number of its phone, when it is over."""
        found = {}
        for row in wait_until(self._ended_legs, 10, "both CDRs are complete"):
            self._seen.add(row["id"])
            side = row["a_leg"] or row["b_leg"]
            found[row["caller"] if row["a_leg"] else row["callee"]] = (side["codec"], side["crypto"])
        return found


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with ExitStack() as stack:
        yield Office(tmp_path_factory.mktemp("office"), stack)


@pytest.fixture
def office(running: Office, tmp_path: Path) -> Iterator[Office]:
    running.directory = tmp_path
    yield running
    running.close_phones()


def call(caller: Baresip, callee: Baresip) -> None:
    caller.command("dial", f"sip:{callee.user}@office.test")
    callee.wait_for("CALL_INCOMING")
    callee.command("accept")
    for phone in (caller, callee):
        phone.wait_for("CALL_ESTABLISHED")
    for phone in (caller, callee):
        phone.wait_heard(LISTENING_S + 1.0)
    callee.command("hangup")
    caller.wait_for("CALL_CLOSED")
    for phone in (caller, callee):
        phone.close()


def baresip_heard(phone: Baresip, frequency: float) -> None:
    heard, rate = phone.heard(), phone.heard_rate()
    assert toned_seconds(heard, rate=rate) >= LISTENING_S
    assert dominant_frequency(heard[rate // 2 : rate * 2], rate) == pytest.approx(frequency, abs=2)


def linphone_hears(phone: Linphone, frequency: float, rate: int) -> None:
    wait_until(lambda: len(phone.heard()), 8, f"{phone.user} records")
    phone.mark()
    wait_until(lambda: len(phone.heard()) >= rate * 1.5, 8, f"{phone.user} hears")
    samples = phone.heard()[-rate:]
    assert dominant_frequency(samples, rate) == pytest.approx(frequency, abs=2)
    assert longest_gap_ms(samples, rate=rate) <= 60


def test_baresip_with_keys_in_sdp_and_baresip_with_a_handshake_transcoded(office: Office) -> None:
    alice = office.baresip("1001", 440.0, "srtp-mand", ["PCMA/8000/1"])
    bob = office.baresip("1002", 880.0, "dtls_srtp", ["G722/16000/1"])
    call(alice, bob)
    baresip_heard(alice, 880.0)
    baresip_heard(bob, 440.0)
    legs = office.legs()
    assert (legs["1001"][0], legs["1002"][0]) == ("PCMA", "G722")
    assert legs["1001"][1].endswith(" SDES") and legs["1002"][1].endswith(" DTLS")


def test_baresip_with_opus_and_a_handshake_it_begins_itself(office: Office) -> None:
    alice = office.baresip("1001", 440.0, "dtls_srtp", ["opus/48000/2"])
    bob = office.baresip("1003", 880.0, "srtp-mand", ["PCMU/8000/1"])
    call(alice, bob)
    baresip_heard(alice, 880.0)
    baresip_heard(bob, 440.0)
    legs = office.legs()
    assert (legs["1001"][0].lower(), legs["1003"][0]) == ("opus", "PCMU")
    assert legs["1001"][1].endswith(" DTLS") and legs["1003"][1].endswith(" SDES")


def test_linphone_with_keys_in_sdp_and_linphone_with_a_handshake(office: Office) -> None:
    alice = office.linphone("1001", 440.0, "srtp", ["G722/8000"])
    bob = office.linphone("1002", 880.0, "dtls", ["opus/48000/2"])
    alice.dial("1002")
    bob.answer()
    alice.wait_for("StreamsRunning")
    bob.wait_for("StreamsRunning")
    linphone_hears(alice, 880.0, 16000)
    linphone_hears(bob, 440.0, 48000)
    bob.hang_up()
    alice.wait_no_call()
    legs = office.legs()
    assert (legs["1001"][0], legs["1002"][0].lower()) == ("G722", "opus")
    assert legs["1001"][1].endswith(" SDES") and legs["1002"][1].endswith(" DTLS")


def test_linphone_and_baresip_share_a_codec_and_not_a_key(office: Office) -> None:
    alice = office.linphone("1001", 440.0, "dtls", ["PCMU/8000"])
    bob = office.baresip("1003", 880.0, "srtp-mand", ["PCMU/8000/1"])
    alice.dial("1003")
    bob.wait_for("CALL_INCOMING")
    bob.command("accept")
    alice.wait_for("StreamsRunning")
    linphone_hears(alice, 880.0, 8000)
    time.sleep(1.0)
    bob.command("hangup")
    alice.wait_no_call()
    bob.close()
    baresip_heard(bob, 440.0)
    assert office.legs().keys() == {"1001", "1003"}


def test_a_phone_without_encryption_is_refused(office: Office) -> None:
    alice = office.baresip("1001", 440.0, "", ["PCMU/8000/1"], tls=False)
    alice.command("dial", "sip:*43@office.test")
    closed = alice.wait_for("CALL_CLOSED")
    assert "488" in str(closed), closed
    assert wait_until(
        lambda: [row for row in office.server.rows("cdr") if row["cause"]["id"] == "VP-3019"], 5, "the CDR is complete"
    )
