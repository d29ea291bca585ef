"""The handshake of DTLS-SRTP between two of ours, over a network that may lose datagrams."""

from __future__ import annotations

import pytest

from media import SrtpKeys
from media.dtls import MTU, Digests, DtlsAssociation, DtlsContext, DtlsStep, Role, pack_records

OURS, THEIRS = DtlsContext(), DtlsContext()


def expected(context: DtlsContext) -> Digests:
    return frozenset({("sha-256", context.fingerprint)})


def pair(*, server_expects: Digests | None = None) -> tuple[DtlsAssociation, DtlsAssociation]:
    client = DtlsAssociation(OURS, "client", expected(THEIRS))
    return client, DtlsAssociation(THEIRS, "server", expected(OURS) if server_expects is None else server_expects)


def shake(client: DtlsAssociation, server: DtlsAssociation) -> dict[Role, DtlsStep]:
    """Carry datagrams until nobody has any; the step that ended each side."""
    ends: dict[Role, DtlsStep] = {}
    waiting: list[tuple[Role, bytes]] = [("server", flight) for flight in client.start().flights]
    server.start()
    while waiting:
        to, flight = waiting.pop(0)
        step = (client if to == "client" else server).receive(flight)
        waiting += [("server" if to == "client" else "client", each) for each in step.flights]
        if step.keys or step.failure:
            ends[to] = step
    return ends


@pytest.mark.rfc("5764", "4.2")
def test_both_sides_have_the_same_keys_the_other_way_round() -> None:
    ends = shake(*pair())
    client, server = ends["client"].keys, ends["server"].keys
    assert client is not None
    assert server == SrtpKeys(client.suite, send=client.receive, receive=client.send)
    assert client.suite.name == "AEAD_AES_128_GCM"


@pytest.mark.rfc("5763", "5")
def test_a_certificate_of_another_fingerprint_gives_no_keys() -> None:
    ends = shake(*pair(server_expects=frozenset({("sha-256", bytes(32))})))
    assert (ends["server"].keys, ends["server"].failure) == (None, "the peer's certificate has another fingerprint")


def test_one_of_several_fingerprints_is_enough() -> None:
    either = frozenset({("sha-256", bytes(32)), ("sha-256", OURS.fingerprint)})
    assert shake(*pair(server_expects=either))["server"].keys is not None


@pytest.mark.parametrize(
    "junk",
    [b"", b"\x16", bytes(range(20, 64)), b"\x16\xfe\xfd" + bytes(10) + b"\xff\xff", b"\x16\xfe\xff" + bytes(200)],
)
def test_junk_ends_nothing(junk: bytes) -> None:
    client, server = pair()
    hello = client.start().flights
    server.start()
    for association in (client, server):
        step = association.receive(junk)
        assert (step.keys, step.failure) == (None, None)
    assert server.receive(hello[0]).flights


def test_a_hello_that_is_cut_into_impossible_pieces_ends_nothing() -> None:
    client, server = pair()
    (hello,) = client.start().flights
    server.start()
    # A message of 16 MB that begins in this datagram: OpenSSL throws it away and says that the stream has ended.
    for association in (client, server):
        step = association.receive(hello[:14] + b"\xff" + hello[15:])
        assert (step.keys, step.failure) == (None, None)
    assert server.receive(hello).flights


def test_an_alert_after_the_handshake_ends_nothing() -> None:
    client, server = pair()
    shake(client, server)
    for alert in (b"\x15\xfe\xfd" + bytes(8) + b"\0\2\2\x28", b"\x15\xfe\xfd\0\1" + bytes(6) + b"\0\2\1\0"):
        step = client.receive(alert)
        assert (step.keys, step.failure) == (None, None)


def test_the_profile_is_one_that_the_peer_has() -> None:
    plain = DtlsContext()
    plain._context.set_tlsext_use_srtp(b"SRTP_AES128_CM_SHA1_32")
    client = DtlsAssociation(plain, "client", expected(THEIRS))
    server = DtlsAssociation(THEIRS, "server", frozenset({("sha-256", plain.fingerprint)}))
    keys = shake(client, server)["server"].keys
    assert keys is not None
    assert keys.suite.name == "AES_CM_128_HMAC_SHA1_32"


@pytest.mark.rfc("6347", "4.2.4")
def test_the_first_flight_has_a_time_after_which_it_is_sent_again() -> None:
    client, _ = pair()
    step = client.start()
    assert step.timeout is not None
    assert 0 < step.timeout <= 1.0


@pytest.mark.rfc("6347", "4.1.1")
def test_records_are_packed_into_datagrams_below_the_mtu() -> None:
    records = [bytes([22]) + bytes(10) + length.to_bytes(2, "big") + bytes(length) for length in (500, 500, 500, 900)]
    datagrams = pack_records(b"".join(records))
    assert [len(each) for each in datagrams] == [1026, 513, 913]
    assert max(map(len, datagrams)) <= MTU
