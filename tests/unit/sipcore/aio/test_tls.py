"""TLS on loopback sockets, under asyncio and uvloop, with an endpoint that plays back what it hears."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from sipcore.aio.tcp import TcpLimits, TcpTransport, open_tcp
from sipcore.aio.tls import TlsContexts, TlsIdentities, TlsSource
from sipcore.flow import Address, Flow, TlsFlow
from sipcore.outputs import Transmit
from tests.certificates import Authority, serial
from tests.unit.sipcore.aio.test_transports import ANY, Loop, Phone, Playback, driver, loops, message, run

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def identities(authority: Authority) -> TlsIdentities:
    names = ("office.test", "shop.test")
    return TlsIdentities(
        authority.issue("pbx.test", "127.0.0.1"), {name: authority.issue(name) for name in names}, None
    )


@asynccontextmanager
async def listening(
    identities: TlsIdentities, *, trusted: Path | None = None, **limits: Any
) -> AsyncIterator[tuple[TcpTransport, Playback, TlsSource]]:
    source = TlsSource(TlsContexts(identities, trusted=trusted))
    async with driver() as (made, endpoint):
        yield await open_tcp(made, ANY, limits=TcpLimits(**limits), tls=source), endpoint, source


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=authority.file)


@asynccontextmanager
async def secured(transport: TcpTransport, context: ssl.SSLContext, name: str = "pbx.test") -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(*transport.local, ssl=context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def echoes(streams: Streams, text: str = "x") -> None:
    reader, writer = streams
    writer.write(message(text))
    assert await reader.readexactly(len(message(text))) == message(text).lower()


async def shown(transport: TcpTransport, context: ssl.SSLContext, name: str) -> int:
    """The serial number of the certificate that a client sees."""
    async with secured(transport, context, name) as (_, writer):
        return int(writer.get_extra_info("peercert")["serialNumber"], 16)


async def counted(transport: TcpTransport, name: str, value: int = 1) -> None:
    while transport.driver.counters[name] < value:
        await asyncio.sleep(0.01)


@loops
def test_a_message_comes_in_over_tls_and_its_answer_goes_back(
    loop: Loop, authority: Authority, identities: TlsIdentities
) -> None:
    async def scenario() -> None:
        async with listening(identities) as (tls, endpoint, _), secured(tls, trusting(authority)) as streams:
            await echoes(streams)
            name = streams[1].get_extra_info("sockname")
            assert [each.flow for each in endpoint.heard] == [TlsFlow("TLS", tls.local, Address(*name), 1)]
            assert tls.driver.counters["tls_handshakes"] == 1

    run(loop, scenario)


@loops
@pytest.mark.parametrize("size", [1, 2, 7])
def test_records_may_be_cut_anywhere(loop: Loop, size: int, authority: Authority, identities: TlsIdentities) -> None:
    """Handshake and records go through a peer that sends a few bytes at a time."""

    async def scenario() -> None:
        async with listening(identities) as (tls, endpoint, _):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = trusting(authority).wrap_bio(incoming, outgoing, server_hostname="pbx.test")
            reader, writer = await asyncio.open_connection(*tls.local)

            async def flush() -> None:
                data = outgoing.read()
                for at in range(0, len(data), size):
                    writer.write(data[at : at + size])
                    await asyncio.sleep(0)

            while True:
                try:
                    client.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await flush()
                    incoming.write(await reader.read(65536))
            client.write(message("a") + message("b", "body"))
            await flush()
            wanted = (message("a") + message("b", "body")).lower()
            got = b""
            while len(got) < len(wanted):
                incoming.write(await reader.read(65536))
                try:
                    while piece := client.read(65536):
                        got += piece
                except ssl.SSLWantReadError:
                    pass
            assert got == wanted
            assert [each.data for each in endpoint.heard] == [message("a"), message("b", "body")]
            writer.transport.abort()

    run(loop, scenario)


@loops
@pytest.mark.rfc("5922", "4")
def test_the_name_that_the_client_asks_for_chooses_the_certificate(
    loop: Loop, authority: Authority, identities: TlsIdentities
) -> None:
    async def scenario() -> None:
        unchecked = trusting(authority)
        unchecked.check_hostname = False
        async with listening(identities) as (tls, _, _):
            for name, pair in identities.by_name.items():
                assert await shown(tls, trusting(authority), name) == serial(pair.chain)
                assert await shown(tls, unchecked, name.upper()) == serial(pair.chain)
            for name in ("elsewhere.test", "127.0.0.1"):
                assert await shown(tls, unchecked, name) == serial(identities.default.chain)

    run(loop, scenario)


def old(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


@loops
@pytest.mark.rfc("9325", "3.1.1")
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_versions_before_1_2_are_refused_with_an_alert_and_counted(
    loop: Loop, version: ssl.TLSVersion, identities: TlsIdentities
) -> None:
    """ "Implementations MUST NOT negotiate TLS version 1.0 [...] 1.1"."""

    async def scenario() -> None:
        async with listening(identities) as (tls, _, _):
            with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
                await shown(tls, old(version), "pbx.test")
            await counted(tls, "tls_refused_version")

    run(loop, scenario)


@pytest.mark.rfc(
    "3903",
    "14.5",
    "For providing confidentiality, ESCs MUST implement TLS, MUST support both mutual and one-way authentication, "
    "and MUST also support the SIPS URI scheme.",
)
@loops
@pytest.mark.rfc("9325", "4.2")
def test_tls_1_2_is_taken_with_forward_secrecy_and_not_without(loop: Loop, identities: TlsIdentities) -> None:
    async def scenario() -> None:
        async with listening(identities) as (tls, _, _):
            context = old(ssl.TLSVersion.TLSv1_2)
            async with secured(tls, context) as streams:
                await echoes(streams)
                assert streams[1].get_extra_info("cipher")[0].startswith("ECDHE-ECDSA-AES")
            context.set_ciphers("ECDHE-ECDSA-AES128-SHA:AES128-SHA:@SECLEVEL=0")
            with pytest.raises(ssl.SSLError, match="ALERT_HANDSHAKE_FAILURE"):
                await shown(tls, context, "pbx.test")
            await counted(tls, "tls_handshake_failed")

    run(loop, scenario)


SUITES = {
    f"ECDHE-{kind}-{cipher}"
    for kind in ("ECDSA", "RSA")
    for cipher in ("AES256-GCM-SHA384", "AES128-GCM-SHA256", "CHACHA20-POLY1305")
}
SUITES_OF_1_3 = {"TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"}


def known_to_openssl() -> list[str]:
    command = ["openssl", "ciphers", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip().split(":")


def accepts(server: ssl.SSLContext, suite: str) -> bool:
    """Whether a client that offers nothing but this suite of TLS 1.2 gets in; over memory."""
    context = old(ssl.TLSVersion.TLSv1_2)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.set_ciphers(f"{suite}:@SECLEVEL=0")
        client = context.wrap_bio(to_client, to_server)
        ends = [client, server.wrap_bio(to_server, to_client, server_side=True)]
        for _ in range(4):
            for end in ends:
                with suppress(ssl.SSLWantReadError):
                    end.do_handshake()
    except ssl.SSLError:
        return False
    assert client.version() == "TLSv1.2" and client.cipher() is not None
    return True


@pytest.mark.rfc("9325", "4.2")
def test_of_all_suites_those_with_forward_secrecy_and_aead_are_taken_and_no_other(
    authority: Authority, identities: TlsIdentities
) -> None:
    rsa = TlsIdentities(authority.issue("rsa.test", is_rsa=True))
    contexts = [TlsContexts(each).accepting for each in (identities, rsa)]
    suites = known_to_openssl()
    assert len(suites) > 100 and set(suites) > SUITES | SUITES_OF_1_3
    old_ones = [suite for suite in suites if not suite.startswith("TLS_")]
    assert {suite for suite in old_ones for context in contexts if accepts(context, suite)} == SUITES


async def s_client(tls: TcpTransport, *arguments: str, says: str = "") -> str:
    """What `openssl s_client` prints; what it `says` it says when it is connected."""
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", str(tls.local), *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    return (await process.communicate(says.encode()))[0].decode(errors="replace")


@pytest.mark.rfc("9325", "4.2")
def test_of_the_suites_of_tls_1_3_those_of_its_default_are_taken(
    authority: Authority, identities: TlsIdentities
) -> None:
    async def scenario() -> None:
        suites = [suite for suite in [*known_to_openssl(), "TLS_AES_128_CCM_SHA256"] if suite.startswith("TLS_")]
        for each in (identities, TlsIdentities(authority.issue("rsa.test", is_rsa=True))):
            async with listening(each) as (tls, _, _):
                taken = set()
                for suite in suites:
                    if f"Cipher is {suite}" in await s_client(tls, "-tls1_3", "-ciphersuites", suite):
                        taken.add(suite)
                assert taken == SUITES_OF_1_3

    run(asyncio.new_event_loop, scenario)


@loops
@pytest.mark.rfc("9325", "3.5")
def test_a_renegotiation_is_refused(loop: Loop, identities: TlsIdentities) -> None:
    async def scenario() -> None:
        async with listening(identities) as (tls, _, _):
            told = await s_client(tls, "-tls1_2", says="R\n")
            assert "Secure Renegotiation IS supported" in told
            assert "RENEGOTIATING" in told and "no renegotiation" in told
            assert tls.driver.counters["tls_handshakes"] == 1

    run(loop, scenario)


@loops
def test_what_is_no_tls_is_refused_and_counted(loop: Loop, identities: TlsIdentities) -> None:
    async def scenario() -> None:
        async with listening(identities) as (tls, endpoint, _):
            for text in (message(), b"GET / HTTP/1.1\r\n\r\n"):
                reader, writer = await asyncio.open_connection(*tls.local)
                writer.write(text)
                await reader.read()
                writer.close()
            await counted(tls, "tls_not_tls", 2)
            assert endpoint.heard == []

    run(loop, scenario)


@loops
@pytest.mark.rfc(
    "5923",
    "9.2",
    "A TLS server conformant to this specification MUST ask for a client certificate; if the client possesses a "
    "certificate, it will be presented to the server for mutual authentication",
)
def test_a_client_without_the_right_certificate_is_refused_and_one_with_it_has_its_names(
    loop: Loop, tmp_path: Path, authority: Authority, identities: TlsIdentities
) -> None:
    async def scenario() -> None:
        trunks, strangers = Authority(tmp_path, "Trunks"), Authority(tmp_path, "Strangers")
        mutual = TlsIdentities(identities.default, identities.by_name, trunks.file)
        async with listening(mutual) as (tls, endpoint, _):
            for number, wrong in enumerate((None, strangers.issue("trunk.test", stem="wrong")), start=1):
                context = trusting(authority)
                if wrong is not None:
                    context.load_cert_chain(wrong.chain, wrong.key)
                with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
                    async with secured(tls, context, "office.test") as streams:
                        await echoes(streams)
                await counted(tls, "tls_refused_certificate", number)
            right = trunks.issue("trunk.test", "sip.trunk.test")
            context = trusting(authority)
            context.load_cert_chain(right.chain, right.key)
            async with secured(tls, context, "office.test") as streams:
                await echoes(streams)
            (heard,) = endpoint.heard
            assert isinstance(heard.flow, TlsFlow)
            assert heard.flow.names == ("trunk.test", "sip.trunk.test")

    run(loop, scenario)


@loops
@pytest.mark.rfc("5922", "7.1")
def test_our_connection_is_used_only_for_the_domain_that_it_proved(
    loop: Loop, authority: Authority, identities: TlsIdentities
) -> None:
    async def scenario() -> None:
        ours = listening(identities, trusted=authority.file)
        async with listening(identities) as (server, heard, _), ours as (client, endpoint, _):
            heard.silent = True

            def flow(domain: str) -> TlsFlow:
                return TlsFlow("TLS", client.local, server.local, domain=domain)

            for domain in ("office.test", "shop.test", "office.test", "127.0.0.1"):
                client.driver.execute([Transmit(message(domain), flow(domain))])
            while len(heard.heard) < 4:
                await asyncio.sleep(0.01)
            assert len({each.flow for each in heard.heard}) == 3
            for nobody in (flow("wrong.test"), Flow("TLS", client.local, server.local), flow(".")):
                client.driver.execute([Transmit(message(), nobody)])
                await endpoint.lost.get()
            assert client.driver.counters["tls_refused_certificate"] == 1
            assert client.driver.counters["tls_nobody_to_verify"] == 1
            assert len(heard.heard) == 4

    run(loop, scenario)


@loops
def test_an_accepted_connection_is_not_the_way_to_its_address(
    loop: Loop, authority: Authority, identities: TlsIdentities
) -> None:
    async def scenario() -> None:
        async with listening(identities) as (tls, endpoint, _), secured(tls, trusting(authority)) as streams:
            await echoes(streams)
            flow = endpoint.heard[0].flow
            tls.driver.execute([Transmit(message(), Flow("TLS", flow.local, flow.remote))])
            assert (await endpoint.lost.get()).connection == 0
            other = Flow("TLS", flow.local, Address("127.0.0.1", 9), flow.connection)
            tls.driver.execute([Transmit(message(), other)])
            assert await endpoint.lost.get() == other

    run(loop, scenario)


@loops
def test_a_handshake_that_stands_still_is_ended(loop: Loop, identities: TlsIdentities) -> None:
    async def scenario() -> None:
        async with listening(identities, handshake_s=0.2) as (tls, _, _):
            reader, writer = await asyncio.open_connection(*tls.local)
            writer.write(b"\x16\x03\x01")
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            assert tls.driver.counters["tls_handshake_timeout"] == 1
            assert tls.connection_count == 0

    run(loop, scenario)


@loops
def test_one_address_cannot_have_more_handshakes_than_connections(loop: Loop, identities: TlsIdentities) -> None:
    async def scenario() -> None:
        async with listening(identities, connections_per_ip=3) as (tls, _, _):
            opened = [await asyncio.open_connection(*tls.local) for _ in range(5)]
            await counted(tls, "tcp_refused", 2)
            assert tls.connection_count == 3
            for _, writer in opened:
                writer.transport.abort()

    run(loop, scenario)


@loops
def test_new_contexts_are_for_new_connections_and_touch_no_other(
    loop: Loop, authority: Authority, identities: TlsIdentities
) -> None:
    async def scenario() -> None:
        async with listening(identities) as (tls, endpoint, source), secured(tls, trusting(authority)) as streams:
            await echoes(streams)
            other = TlsIdentities(authority.issue("pbx.test", stem="other"))
            source.current = TlsContexts(other)
            assert await shown(tls, trusting(authority), "pbx.test") == serial(other.default.chain)
            await echoes(streams)
            assert len({each.flow for each in endpoint.heard}) == 1

    run(loop, scenario)


@loops
def test_the_peer_that_says_goodbye_still_gets_its_answer(
    loop: Loop, authority: Authority, identities: TlsIdentities
) -> None:
    async def scenario() -> None:
        async with listening(identities, half_closed_s=0.2) as (tls, endpoint, _):
            async with secured(tls, trusting(authority)) as (reader, writer):
                writer.write(message())
                assert await reader.readexactly(len(message())) == message().lower()
                writer.close()
            await endpoint.lost.get()
            assert tls.connection_count == 0

    run(loop, scenario)


def resident_kb() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def test_certificates_rotate_under_handshakes_and_leave_nothing(
    authority: Authority, identities: TlsIdentities, pytestconfig: pytest.Config
) -> None:
    """F4: serials switch at once, nobody is disconnected, memory stays."""
    rotations = 1000 if pytestconfig.getoption("--soak", default=False) else 200
    pairs = [authority.issue("pbx.test", stem=f"turn{number}") for number in range(2)]
    sizes = []

    async def scenario() -> None:
        async with listening(identities) as (tls, _, source), secured(tls, trusting(authority)) as staying:
            context = trusting(authority)
            for turn in range(rotations + 50):
                pair = pairs[turn % 2]
                source.current = TlsContexts(TlsIdentities(pair, identities.by_name), trusted=authority.file)
                assert await shown(tls, context, "pbx.test") == serial(pair.chain)
                if turn % 50 == 49:
                    await echoes(staying)
                    sizes.append(resident_kb())

    async def limited() -> None:
        async with asyncio.timeout(120):
            await scenario()

    asyncio.run(limited())
    assert sizes[-1] - sizes[0] < 2048, sizes


async def cpu_of_echoes(wire: asyncio.DatagramTransport, phone: Phone) -> float:
    """What 300 messages over UDP and their answers take of this process."""
    begun = time.process_time()
    for _ in range(300):
        wire.sendto(message())
        await phone.got.get()
    return time.process_time() - begun


@loops
def test_stalled_handshakes_hurt_no_udp_and_no_tls_phone(
    loop: Loop, authority: Authority, identities: TlsIdentities
) -> None:
    """H22: 200 that stand still, from 50 addresses, and full ones beside them."""
    from sipcore.aio.udp import open_udp

    async def scenario() -> None:
        async with listening(identities) as (tls, _, _):
            made = tls.driver
            udp = await open_udp(made, ANY)
            wire, phone = await made.loop.create_datagram_endpoint(Phone, remote_addr=udp.local)
            alone = await cpu_of_echoes(wire, phone)
            opened = []
            for number in range(200):
                source = (f"127.0.1.{1 + number % 50}", 0)
                opened.append(await asyncio.open_connection(*tls.local, local_addr=source))
                opened[-1][1].write(b"\x16\x03\x01\x02\x00\x01")
            beside = await cpu_of_echoes(wire, phone)
            wire.close()
            context = trusting(authority)
            for number in range(30):
                async with secured(tls, context) as streams:
                    await echoes(streams, f"phone {number}")
            assert made.counters["tls_handshakes"] == 30
            for _, writer in opened:
                writer.transport.abort()
            # Processor time: a pause of the machine is not the handshakes' doing.
            assert beside < 3 * alone + 0.1, (alone, beside)

    run(loop, scenario)
