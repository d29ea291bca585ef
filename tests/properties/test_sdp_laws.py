"""parse ∘ format = id, and the laws of RFC 3264 over generated offers and answers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.errors import NegotiationError, ParseError
from sipcore.offer_answer import LocalMedia, NegotiatedAudio, OfferAnswer, make_answer, make_offer, read_answer
from sipcore.sdp import (
    Attribute,
    Direction,
    Line,
    MediaDescription,
    Origin,
    RtpFormat,
    SessionDescription,
    format_sdp,
    parse_sdp,
)

RUNS = settings(max_examples=150, deadline=None)

words = st.text(
    st.characters(codec="ascii", exclude_characters="\0\r\n \t\x0b\x0c\x1c\x1d\x1e\x1f:"), min_size=1, max_size=8
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=20)
attributes = st.lists(st.builds(Attribute, words, st.none() | texts), max_size=4).map(tuple)
before = st.lists(st.builds(Line, st.sampled_from("iuep"), texts), max_size=2)
after = st.lists(st.builds(Line, st.sampled_from("btrzkxyX"), texts), max_size=3)
lines = st.tuples(before, after).map(lambda both: (*both[0], *both[1]))
addresses = st.ip_addresses().map(str)
media = st.builds(
    MediaDescription,
    media=words,
    port=st.integers(0, 65535),
    proto=words,
    formats=st.lists(words, min_size=1, max_size=5).map(tuple),
    connection=st.none() | addresses,
    attributes=attributes,
    lines=lines,
    port_count=st.integers(1, 9),
)
sessions = st.builds(
    SessionDescription,
    origin=st.none() | st.builds(Origin, words, words, words, addresses),
    name=st.none() | texts,
    connection=st.none() | addresses,
    attributes=attributes,
    media=st.lists(media, max_size=4).map(tuple),
    lines=lines,
)


@RUNS
@given(sessions)
def test_what_is_written_is_read_again(session: SessionDescription) -> None:
    assert parse_sdp(format_sdp(session)) == session


@RUNS
@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"v=0\n" + rest))
def test_any_bytes_are_a_description_or_a_parse_error(body: bytes) -> None:
    try:
        session = parse_sdp(body)
    except ParseError:
        return
    assert parse_sdp(format_sdp(session)) == session


CODECS = [("PCMU", 8000, 1), ("PCMA", 8000, 1), ("G722", 8000, 1), ("opus", 48000, 2), ("telephone-event", 8000, 1)]
directions = st.sampled_from(Direction)


@st.composite
def local_media(draw: st.DrawFn) -> LocalMedia:
    codecs = draw(st.lists(st.sampled_from(CODECS), min_size=1, max_size=5, unique=True))
    numbers = draw(st.lists(st.integers(96, 127), min_size=len(codecs), max_size=len(codecs), unique=True))
    formats = tuple(RtpFormat(number, *codec) for number, codec in zip(numbers, codecs, strict=True))
    return LocalMedia("192.0.2.1", draw(st.integers(512, 30000)) * 2, formats, draw(directions))


def exchange(a: LocalMedia, b: LocalMedia) -> tuple[bytes, bytes, NegotiatedAudio, NegotiatedAudio] | None:
    offer = make_offer(a, session_id=1, version=1)
    try:
        answer, at_b = make_answer(parse_sdp(offer), b, session_id=2, version=2)
    except NegotiationError:
        return None
    return offer, answer, read_answer(a, parse_sdp(answer)), at_b


@RUNS
@given(local_media(), local_media())
def test_both_sides_understand_the_same(a: LocalMedia, b: LocalMedia) -> None:
    result = exchange(a, b)
    if result is None:
        shared = {each.rtpmap for each in a.formats} & {each.rtpmap for each in b.formats}
        assert shared <= {"telephone-event/8000"}
        return
    _, _, at_a, at_b = result
    # What one sends with is what the other receives with, format by format.
    assert [(pair.send, pair.receive) for pair in at_a.formats] == [(pair.receive, pair.send) for pair in at_b.formats]
    assert at_a.direction is at_b.direction.reversed
    assert (at_a.remote.port, at_b.remote.port) == (b.port, a.port)
    assert (at_a.telephone_event is None) is (at_b.telephone_event is None)


@RUNS
@given(local_media(), local_media())
def test_the_answers_formats_are_a_part_of_the_offers_in_its_order(a: LocalMedia, b: LocalMedia) -> None:
    result = exchange(a, b)
    if result is None:
        return
    offered, answered = (parse_sdp(body).media for body in result[:2])
    assert len(answered) == len(offered)
    kept = [each for each in offered[0].formats if each in answered[0].formats]
    assert list(answered[0].formats) == kept


@RUNS
@given(st.lists(local_media(), min_size=2, max_size=6))
def test_the_version_counts_the_changes_and_nothing_else(offers: list[LocalMedia]) -> None:
    session = OfferAnswer(100)
    bodies = [session.make_offer(local) for local in offers for _ in range(2)]
    # Of what is said: a number that was another codec's is written as a free one (RFC 3264 §8.3.2).
    changes = sum(previous != following for previous, following in pairwise([parse_sdp(each).media for each in bodies]))
    origin = parse_sdp(bodies[-1]).origin
    assert origin is not None
    assert (origin.session_id, origin.version) == ("100", str(100 + changes))
    assert bodies[0::2] == bodies[1::2]


@RUNS
@given(sessions, local_media())
def test_every_stream_of_any_offer_keeps_its_place(offer: SessionDescription, local: LocalMedia) -> None:
    usable = MediaDescription("audio", 4000, "RTP/AVP", ("0",), connection="192.0.2.9")
    offer = SessionDescription(offer.origin, offer.name, offer.connection, (), (*offer.media, usable), offer.lines)
    local = LocalMedia(local.address, local.port, (RtpFormat(0, "PCMU", 8000),), local.direction)
    try:
        body, negotiated = make_answer(offer, local, session_id=1, version=1)
    except NegotiationError:
        return
    streams = parse_sdp(body).media
    assert [(each.media, each.proto) for each in streams] == [(each.media, each.proto) for each in offer.media]
    assert [index for index, each in enumerate(streams) if each.port] == [negotiated.stream]
