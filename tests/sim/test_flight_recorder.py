"""The recorder's ladder is what the network carried to and from the server, and shows no secret."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pbx.output import json_line
from pbx.trace import entry_rows, lines, write_pcapng
from sipcore.flow import Address
from sipcore.outputs import Output, Transmit
from tests.sim.office import Office
from voipat.recorder import Fate, Recorder, Trace
from voipat.testing import Phone, SimWorld
from voipat.trace import ladder, masked

pytestmark = pytest.mark.usefixtures("nothing_left")

LATENCY = 0.01


def recorder_of(office: Office) -> Recorder:
    server = office.world._server
    assert server is not None
    return server.recorder


def only_trace(office: Office, fate: Fate) -> Trace:
    (found,) = [trace for trace in recorder_of(office) if trace.fate is fate]
    return found


def server_view(world: SimWorld) -> list[str]:
    """What the server sent and received of calls, by the network's own ladder."""
    seen = []
    for rung in world.network.ladder:
        is_ours = rung.source == world.server_address
        copies = 2 if rung.fate == "duplicated" else 1
        if rung.kind.endswith("REGISTER") or (not is_ours and rung.fate.startswith("lost")):
            continue
        for copy in range(1 if is_ours else copies):
            arrived = 0.0 if is_ours else LATENCY * (copy + 1)
            way = " → ".join(world.network.name_of(end) for end in (rung.source, rung.destination))
            seen.append((round(rung.time + arrived, 6), f"{way}  {rung.kind}"))
    return sorted(f"{time:9.3f} {line}" for time, line in seen)


def recorded(office: Office) -> list[str]:
    def name_of(address: Address) -> str:
        return office.world.network.name_of(address)

    lines = []
    for trace in recorder_of(office):
        found = ladder(trace, name_of=name_of, uris=False)
        lines += [f"{time:9.3f} {line}" for time, line in found if not line.startswith("·")]
    return sorted(lines)


@pytest.mark.parametrize(("loss", "duplicate"), [(0.0, 0.0), (0.15, 0.1)])
def test_the_ladder_is_that_of_the_network(seed: int, loss: float, duplicate: float) -> None:
    with Office(seed=seed, latency=LATENCY, loss=loss, duplicate=duplicate) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        alice.dial("1002").hangs_up(after=2.0)
        alice.dial("7777", after=30.0)
        alice.dial("*43", after=60.0).hangs_up(after=1.0)
        office.world.run()
        office.world.settle()
        assert recorded(office) == server_view(office.world)
        assert len(recorder_of(office)) == 3


def test_decisions_stand_between_the_messages(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        alice.dial("1002").hangs_up(after=1.0)
        office.world.run()
        text = "\n".join(line for _, line in ladder(only_trace(office, Fate.ENDED)))
        for decision in (
            *("1001 calls 1002 of office.test", "· admitted as call 1", "· goes to extension 1002"),
            *(" rings 1 contacts for 30 s", " has media port ", " answered, PCMU", " has media from 10.0.0.1:"),
            " ended by caller: answered, 200 VP-4001 Normal call clearing",
        ):
            assert decision in text, text
        assert text.index("goes to extension") < text.index("voipat → 10.0.0.2:5060  INVITE")


def test_a_wrong_password_is_told_to_the_operator_alone(seed: int) -> None:
    with Office(seed=seed) as office:
        mallory: Phone = office.world.phone("sip:1001@office.test", password="guess", name="mallory")
        mallory.dial("sip:1002@office.test")
        office.world.run()
        text = "\n".join(line for _, line in ladder(only_trace(office, Fate.REFUSED)))
        assert "INVITE of 1001@office.test refused: 401 VP-1002 Wrong password" in text
        assert b"VP-1002" not in b"".join(rung.data for rung in office.world.network.ladder)


def test_no_digest_response_is_shown(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        alice.dial("1002").hangs_up(after=1.0)
        office.world.run()
        kept = [entry.what for trace in recorder_of(office) for entry in trace if isinstance(entry.what, bytes)]
        credentials = [data for data in kept if b"Authorization: Digest" in data]
        assert credentials
        for data in credentials:
            response = data.partition(b'response="')[2].partition(b'"')[0]
            assert len(response) >= 32 and response not in masked(data)


def test_no_digit_of_an_info_is_shown(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002").hangs_up(after=6.0)
        office.world.run(until=office.world.now + 2.0)
        for digit in "4711":
            body = f"Signal={digit}\r\nDuration=160\r\n".encode()
            assert call.dialog is not None
            endpoint, now = alice.endpoint, alice.driver.now()
            headers = (("Content-Type", "application/dtmf-relay"),)
            transaction = endpoint.new_transaction()
            alice.driver.execute(
                endpoint.send_in_dialog(call.dialog, transaction, "INFO", now, headers=headers, body=body)
            )
            office.world.run(until=office.world.now + 0.5)
        office.world.run()
        kept = [entry.what for trace in recorder_of(office) for entry in trace if isinstance(entry.what, bytes)]
        infos = [masked(data) for data in kept if data.startswith(b"INFO ")]
        assert len(infos) == 8 and all(b"Signal=x\r\nDuration=160" in data for data in infos)


def folded(output: Output) -> Output:
    """What we send has no folded header: `|` stands for a fold."""
    return replace(output, data=output.data.replace(b"|", b"\r\n")) if isinstance(output, Transmit) else output


def test_no_card_number_no_token_and_no_text_leaves_the_daemon(seed: int, tmp_path: Path) -> None:
    card, token, text = "4111111111111111", "eyJhbGciOi.tok", "meet me at noon"
    kpml = f'<kpml-response version="1.0" code="200" digits="{card}" tag="dtmf"/>'
    said = [
        ("INFO", "application/dtmf-relay", f"Signal={card}\r\nDuration=160\r\n", f"Bearer {token}"),
        ("INFO", "application/dtmf", card, f"Bearer| {token}"),
        ("INFO", "application/kpml-response+xml", kpml, token),
        ("MESSAGE", "text/plain", text, f"| Bearer {token}"),
    ]
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002").hangs_up(after=10.0)
        office.world.run(until=office.world.now + 3.0)
        assert call.dialog is not None
        for method, kind, body, credentials in said:
            headers = (("Content-Type", kind), ("Authorization", credentials))
            outputs = alice.endpoint.send_in_dialog(
                call.dialog,
                alice.endpoint.new_transaction(),
                method,
                alice.driver.now(),
                headers=headers,
                body=body.encode(),
            )
            alice.driver.execute([folded(each) for each in outputs])
            office.world.run(until=office.world.now + 0.5)
        office.world.run()
        recorder = recorder_of(office)
        found = only_trace(office, Fate.ENDED)
        received = b"".join(entry.what for entry in found if isinstance(entry.what, bytes))
        assert b"Authorization: \r\n Bearer " in received
        assert all(each.encode() in received for each in (card, token, text)), "else this shows nothing"
        rows = list(entry_rows(found, recorder, messages=True))
    shown = {
        "ladder": "\n".join(lines(rows, messages=False)),
        "--messages": "\n".join(lines(rows, messages=True)),
        "--json": "\n".join(json_line(row) for row in rows),
    }
    written = tmp_path / "call.pcapng"
    assert write_pcapng([json.loads(json_line(row)) for row in rows], written) > 10
    shown["--pcap"] = written.read_bytes().decode("latin-1")
    for where, what in shown.items():
        assert "MESSAGE" in what and "INFO" in what, where
        for secret in (card, token, text):
            assert secret not in what, where
