"""Asterisk that takes calls with SRTP only, by SDES and by DTLS, called by a phone with the other of the two."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import pytest

from bench.rig.processes import free_port, wait_until
from bench.rig.server import Server
from tests.certificates import Authority
from tests.interop.asterisk_phone import Asterisk
from tests.interop.baresip import Baresip
from tests.interop.tones import dominant_frequency, toned_seconds

# Run by `make interop-asterisk` alone: it needs the chroot of `make peer-asterisk`.
pytestmark = pytest.mark.interop


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "certificates")


@pytest.fixture
def server(tmp_path: Path, authority: Authority) -> Iterator[Server]:
    pair = authority.issue("office.test", "127.0.0.1", stem="server")
    port = free_port(run=2)
    settings = {
        "server.listen": f"udp://127.0.0.1:{port},tls://127.0.0.1:{port + 1}",
        "server.tls.certificate": str(pair.chain),
        "server.tls.key": str(pair.key),
        "server.srtp": "required",
        "tenant.office.test.extensions.1003.srtp_exchange": "dtls",
    }
    with closing(Server(tmp_path / "server", port=port, **settings)) as running:
        yield running


@pytest.mark.parametrize(
    ("number", "encryption", "codec", "phone"),
    [("1002", "sdes", "ulaw", "dtls_srtp"), ("1003", "dtls", "g722", "srtp-mand")],
)
def test_asterisk_that_requires_srtp_hears_and_is_heard(
    tmp_path: Path, server: Server, authority: Authority, number: str, encryption: Literal["sdes", "dtls"],
    codec: str, phone: str,
) -> None:  # fmt: skip
    peer = Asterisk(
        user=number,
        password=f"pass-{number}",
        server=f"127.0.0.1:{server.port + 1}",
        port=free_port(),
        trusted=authority.file,
        encryption=encryption,
        codec=codec,
    )
    with closing(peer):
        peer.wait_ready()
        wait_until(
            lambda: any(number in row["aor"] for row in server.rows("registrations")), 10,
            f"Asterisk is registered: {peer.process.output()[-2000:]}",
        )  # fmt: skip
        alice = Baresip(
            tmp_path / "1001",
            user="1001",
            password="pass-1001",
            server=f"127.0.0.1:{server.port + 1}",
            port=free_port(run=5),
            frequency=440.0,
            trusted=authority.file,
            encryption=phone,
            codecs=["PCMA/8000/1"],
        )
        with closing(alice):
            alice.wait_registered()
            alice.command("dial", f"sip:{number}@office.test")
            alice.wait_for("CALL_ESTABLISHED")
            time.sleep(3.0)
            alice.command("hangup")
    heard = alice.heard()
    assert toned_seconds(heard) >= 1.5
    assert dominant_frequency(heard[6000:14000]) == pytest.approx(440.0, abs=2)
    rows = wait_until(
        lambda: rows if len(rows := server.rows("cdr", "--legs")) == 2 and all(r["ended"] for r in rows) else None,
        10,
        "both CDRs are complete",
    )
    crypto = {
        row["caller"] if row["a_leg"] else row["callee"]: (row["a_leg"] or row["b_leg"])["crypto"] for row in rows
    }
    assert crypto[number].endswith(f" {encryption.upper()}")
    assert crypto["1001"].endswith(" DTLS" if phone == "dtls_srtp" else " SDES")
