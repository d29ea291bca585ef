"""Descriptions that no phone sends: refused at once, and no media port stays open for them."""

from __future__ import annotations

import time

import pytest

from tests.sim.office import Office

pytestmark = pytest.mark.usefixtures("nothing_left")

HEAD = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n"
AUDIO = "m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
MANY = 300

# Each is refused, 488 or 400: nothing of it is an audio stream that could be.
BAD: dict[str, str] = {
    "no version": HEAD[5:] + AUDIO,
    "version 1": "v=1" + HEAD[3:] + AUDIO,
    "origin cut": HEAD.replace("o=- 1 1 IN IP4 10.0.0.1", "o=- 1") + AUDIO,
    "origin empty": HEAD.replace("o=- 1 1 IN IP4 10.0.0.1", "o=") + AUDIO,
    "no address": HEAD.replace("c=IN IP4 10.0.0.1\r\n", "") + AUDIO,
    "address cut": HEAD.replace("c=IN IP4 10.0.0.1", "c=IN IP4") + AUDIO,
    "address empty": HEAD.replace("c=IN IP4 10.0.0.1", "c=") + AUDIO,
    "address of no network": HEAD.replace("c=IN IP4", "c=ATM NSAP") + AUDIO,
    "address of no family": HEAD.replace("c=IN IP4 10.0.0.1", "c=IN IP9 1") + AUDIO,
    "address is a name": HEAD.replace("c=IN IP4 10.0.0.1", "c=IN IP4 evil.example") + AUDIO,
    "address too large": HEAD.replace("c=IN IP4 10.0.0.1", "c=IN IP4 999.1.1.1") + AUDIO,
    "address with a letter": HEAD.replace("c=IN IP4 10.0.0.1", "c=IN IP4 10.0.0.x") + AUDIO,
    "IPv6 as IPv4": HEAD.replace("c=IN IP4 10.0.0.1", "c=IN IP4 ::1") + AUDIO,
    "multicast": HEAD.replace("c=IN IP4 10.0.0.1", "c=IN IP4 224.2.1.1/127") + AUDIO,
    "no stream": HEAD,
    "no audio": HEAD + "m=video 4000 RTP/AVP 31\r\n",
    "application": HEAD + "m=application 4000 udp wb\r\n",
    "audio refused": HEAD + "m=audio 0 RTP/AVP 0\r\n",
    "port letters": HEAD + "m=audio port RTP/AVP 0\r\n",
    "port negative": HEAD + "m=audio -1 RTP/AVP 0\r\n",
    "port 65536": HEAD + "m=audio 65536 RTP/AVP 0\r\n",
    "port 2^32": HEAD + "m=audio 4294967296 RTP/AVP 0\r\n",
    "port of a service": HEAD + "m=audio 53 RTP/AVP 0\r\n",
    "port 1023": HEAD + "m=audio 1023 RTP/AVP 0\r\n",
    "port missing": HEAD + "m=audio RTP/AVP 0\r\n",
    "no formats": HEAD + "m=audio 4000 RTP/AVP\r\n",
    "stream empty": HEAD + "m=\r\n",
    "stream cut": HEAD + "m=audio\r\n",
    "profile unknown": HEAD + "m=audio 4000 XYZ/ABC 0\r\n",
    "profile TCP": HEAD + "m=audio 4000 TCP/RTP/AVP 0\r\n",
    "format letters": HEAD + "m=audio 4000 RTP/AVP x\r\n",
    "format negative": HEAD + "m=audio 4000 RTP/AVP -1\r\n",
    "format 128": HEAD + "m=audio 4000 RTP/AVP 128\r\n",
    "format 2^31": HEAD + "m=audio 4000 RTP/AVP 2147483648\r\n",
    "dynamic without a map": HEAD + "m=audio 4000 RTP/AVP 97\r\n",
    "clock rate 0": HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/0\r\n",
    "clock rate negative": HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/-8000\r\n",
    "clock rate 2^32": HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/4294967296\r\n",
    "clock rate letters": HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/x\r\n",
    "clock rate of none": HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/12345\r\n",
    "attribute before the version": "a=x\r\n" + HEAD + AUDIO,
    "stream before the version": AUDIO + HEAD,
    "address of the stream cut": HEAD + AUDIO + "c=IN IP4\r\n",
    "address of the stream is a name": HEAD + AUDIO + "c=IN IP4 evil.example\r\n",
    "port with a fraction": HEAD + "m=audio 4000.5 RTP/AVP 0\r\n",
    "map cut": HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:96\r\n",
    "map empty": HEAD + "m=audio 4000 RTP/AVP 96\r\na=rtpmap:\r\n",
    "telephone-event alone": HEAD + "m=audio 4000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n",
    "many streams": HEAD + AUDIO * MANY,
    "many formats": HEAD + "m=audio 4000 RTP/AVP " + " ".join(["0"] * MANY) + "\r\n",
    "many attributes": HEAD + AUDIO + "a=x:1\r\n" * MANY * 2,
    "many attributes of the session": HEAD + "a=x:1\r\n" * MANY * 2 + AUDIO,
    "ptime 0": HEAD + AUDIO + "a=ptime:0\r\n",
    "ptime 1": HEAD + AUDIO + "a=ptime:1\r\n",
    "ptime 5000": HEAD + AUDIO + "a=ptime:5000\r\n",
    "ptime 2^32": HEAD + AUDIO + "a=ptime:4294967296\r\n",
    "ptime negative": HEAD + AUDIO + "a=ptime:-20\r\n",
    "no SDP at all": "hello\r\n",
    "binary": "\x00\x01\x02\xff\r\n",
    "lines without a type": HEAD + AUDIO + "rubbish\r\n",
    "type of two letters": HEAD + AUDIO + "mm=audio\r\n",
    "time missing and stream first": "v=0\r\nm=audio 4000 RTP/AVP 0\r\n",
}


def half_a_second(office: Office) -> float:
    """CPU seconds of half a second of the world."""
    begin = time.process_time()
    office.world.run(until=office.world.now + 0.5)
    return time.process_time() - begin


def test_there_are_sixty() -> None:
    assert len(BAD) >= 60


@pytest.mark.parametrize("what", BAD)
def test_a_bad_description_is_refused_and_holds_no_port(what: str, seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=0.0)
        before = office.world.engine.open_ports
        call = alice.dial("1002", after=0.1)
        call._offer = lambda: BAD[what].encode("latin-1")  # type: ignore[method-assign]
        took = half_a_second(office)
        assert call.status in (400, 488, 513), call.status
        assert bob.received == [] and office.world.engine.open_ports == before
        good = alice.dial("1002", after=0.1)
        usual = half_a_second(office)
        assert good.was_answered
        assert took < 40 * usual  # the bound is against what is quadratic
        good.hang_up()
        office.world.run()
        assert office.world.leaks() == []
