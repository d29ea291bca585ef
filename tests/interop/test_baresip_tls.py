"""Real phones and openssl over TLS: registration, a call with audio, who is refused, certificates that change."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from bench.rig.processes import free_port, program, wait_until
from bench.rig.server import Server
from tests.certificates import Authority
from tests.interop.baresip import Baresip
from tests.interop.tones import dominant_frequency, toned_seconds
from tests.unit.pbx.test_pcapng import packets

pytestmark = pytest.mark.interop


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Iterator[Server]:
    """UDP, TCP and TLS on one port; clients with a certificate on another."""
    pair = authority.issue("office.test", "127.0.0.1", stem="server")
    port, mutual = free_port(), free_port()
    urls = [f"{scheme}://127.0.0.1:{port}" for scheme in ("udp", "tcp")]
    secure = [f"tls://127.0.0.1:{port + 1}", f"tls://127.0.0.1:{mutual}"]
    running = Server(
        tmp_path / "server",
        port=port,
        **{
            "server.listen": ",".join(urls + secure),
            "server.tls.certificate": str(pair.chain),
            "server.tls.key": str(pair.key),
            "server.tls.client_ca": str(authority.file),
            "server.tls.mutual": secure[1],
        },
    )
    yield running
    running.close()


def phone(directory: Path, server: Server, authority: Authority, user: str, frequency: float) -> Baresip:
    return Baresip(
        directory / user,
        user=user,
        password=f"pass-{user}",
        server=f"127.0.0.1:{server.port + 1}",
        port=free_port(run=5),
        frequency=frequency,
        trusted=authority.file,
    )


def test_phones_register_and_call_over_tls(tmp_path: Path, server: Server, authority: Authority) -> None:
    with ExitStack() as stack:
        alice = stack.enter_context(closing(phone(tmp_path, server, authority, "1001", 440.0)))
        bob = stack.enter_context(closing(phone(tmp_path, server, authority, "1002", 880.0)))
        alice.wait_registered()
        bob.wait_registered()
        assert {row["transport"] for row in server.rows("registrations")} == {"TLS"}
        alice.command("dial", "sip:1002@office.test")
        bob.wait_for("CALL_INCOMING")
        bob.command("accept")
        alice.wait_for("CALL_ESTABLISHED")
        bob.wait_for("CALL_ESTABLISHED")
        alice.wait_heard(2.5)
        bob.wait_heard(2.5)
        bob.command("hangup")
        alice.wait_for("CALL_CLOSED")
        alice.close()
        bob.close()
    for listener, frequency in ((alice, 880.0), (bob, 440.0)):
        heard = listener.heard()
        assert toned_seconds(heard) >= 2
        assert dominant_frequency(heard[4000:16000]) == pytest.approx(frequency, abs=2)
    (row,) = wait_until(lambda: [row for row in server.rows("cdr") if row["ended"]], 5, "the CDR is complete")
    assert row["disposition"] == "answered"
    assert row["hangup_by"] == "callee"
    stats = server.stats()
    # One connection each, from the registration to the BYE.
    assert stats["driver_tls_handshakes"] == 2
    assert stats["calls"] == 0
    entries = [entry for entry in server.rows("trace", row["id"]) if entry["kind"] == "message"]
    assert {entry["transport"] for entry in entries} == {"TLS"}
    ladder = server.cli("trace", row["id"])
    assert "→ voipat  INVITE sip:1002@office.test" in ladder
    assert re.search(r"voipat → \S+  200 \w+ \(INVITE\)", ladder)
    server.cli("trace", row["id"], "--pcap", str(tmp_path / "call.pcapng"))
    captured = packets((tmp_path / "call.pcapng").read_bytes())
    assert len(captured) == len(entries)
    assert all("over TLS" in packet.comments for packet in captured)
    for first in (b"INVITE sip:1002@office.test SIP/2.0\r\n", b"SIP/2.0 200 "):
        assert any(first in packet.data for packet in captured)


def openssl(server: str, *arguments: str) -> str:
    done = subprocess.run(
        [program("openssl"), "s_client", "-connect", server, *arguments],
        input="",
        capture_output=True,
        text=True,
        timeout=20,
    )
    return done.stdout + done.stderr


def test_openssl_sees_what_the_profile_says(server: Server, authority: Authority) -> None:
    address = f"127.0.0.1:{server.port + 1}"
    trusting = ("-CAfile", str(authority.file), "-verify_return_error", "-servername", "office.test")
    modern = openssl(address, *trusting, "-tls1_3", "-alpn", "h2")
    assert "Verify return code: 0 (ok)" in modern
    assert "No ALPN negotiated" in modern
    twelve = openssl(address, *trusting, "-tls1_2")
    assert "Verify return code: 0 (ok)" in twelve
    assert "Cipher is ECDHE-" in twelve
    assert "Compression: NONE" in twelve
    for old in ("-tls1", "-tls1_1"):
        assert "alert protocol version" in openssl(address, *trusting, old, "-cipher", "ALL:@SECLEVEL=0")
    assert "handshake failure" in openssl(address, *trusting, "-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0")
    assert server.stats()["driver_tls_refused_version"] == 2


def test_the_mutual_listener_wants_a_certificate(server: Server, authority: Authority, tmp_path: Path) -> None:
    address = server.settings["server.tls.mutual"].removeprefix("tls://")
    trusting = ("-CAfile", str(authority.file), "-tls1_2")
    assert "alert handshake failure" in openssl(address, *trusting)
    stranger = Authority(tmp_path / "strangers", "Strangers").issue("trunk.test")
    wrong = openssl(address, *trusting, "-cert", str(stranger.chain), "-key", str(stranger.key))
    assert "alert unknown ca" in wrong
    known = authority.issue("trunk.test")
    right = openssl(address, *trusting, "-cert", str(known.chain), "-key", str(known.key))
    assert "Verify return code: 0 (ok)" in right
    stats = server.stats()
    assert stats["driver_tls_refused_certificate"] == 2
    assert stats["driver_tls_handshakes"] == 1


def seen_serial(server: Server, authority: Authority) -> str:
    shown = openssl(f"127.0.0.1:{server.port + 1}", "-CAfile", str(authority.file), "-showcerts")
    return shown.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]


def test_a_certificate_is_renewed_while_phones_stay_connected(
    tmp_path: Path, server: Server, authority: Authority
) -> None:
    with closing(phone(tmp_path, server, authority, "1001", 440.0)) as alice:
        alice.wait_registered()
        first = seen_serial(server, authority)
        pair = authority.issue("office.test", "127.0.0.1", stem="server")
        assert "new certificates" in server.cli("reload")
        second = seen_serial(server, authority)
        assert second != first
        # A key of another pair: refused, and the pair in force stays.
        key = pair.key.read_bytes()
        pair.key.write_bytes(authority.issue("other.test").key.read_bytes())
        with pytest.raises(AssertionError, match="is not the key of the certificate"):
            server.cli("reload")
        assert seen_serial(server, authority) == second
        pair.key.write_bytes(key)
        server.cli("reload")
        alice.command("dial", "sip:*43@office.test")
        alice.wait_for("CALL_ESTABLISHED")
        assert server.rows("registrations")[0]["transport"] == "TLS"
        # One connection from the registration to the call; the others are those that looked at the certificate.
        assert server.stats()["driver_tls_handshakes"] == 1 + 3
