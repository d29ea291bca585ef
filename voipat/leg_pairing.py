"""Two legs side by side: which payload type becomes which on the way between them; and the figures of a port."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from media import PortStats
from sipcore.offer_answer import FormatPair
from voipat.events import MediaFigures

if TYPE_CHECKING:
    from voipat.media_leg import MediaLeg


def media_figures(stats: PortStats, codec: str | None, *, crypto: str | None, beside: str | None) -> MediaFigures:
    """What the CDR says of a port that spoke that codec, was sealed so, and what was relayed beside it."""
    heard, said = stats.heard(codec or ""), stats.said(codec or "")
    return MediaFigures(
        codec=codec,
        packets_received=stats.packets_in,
        packets_sent=stats.packets_out,
        lost=stats.lost,
        loss=stats.loss,
        jitter_ms=stats.jitter_ms,
        mos=None if heard is None else round(heard.mos, 2),
        loss_out=stats.remote_loss,
        jitter_out_ms=None if said is None else stats.rtcp.remote_jitter_ms,
        mos_out=None if said is None else round(said.mos, 2),
        round_trip_ms=stats.rtcp.round_trip_ms,
        crypto=crypto,
        beside=beside,
    )


def payload_map(source: MediaLeg, target: MediaLeg) -> dict[int, int]:
    """Payload type that we receive from `source` → the one that `target`'s peer wants."""
    return dict(_payload_map(source.passed_pairs(), target.pairs))


@lru_cache(maxsize=256)  # phones of a model write the same formats in every call
def _payload_map(source: tuple[FormatPair, ...], target: tuple[FormatPair, ...]) -> tuple[tuple[int, int], ...]:
    found = []
    for pair in source:
        match = next((other for other in target if other.send.matches(pair.receive)), None)
        if match is not None:
            found.append((pair.receive.payload_type, match.send.payload_type))
    return tuple(found)


def event_map(source: MediaLeg, target: MediaLeg) -> dict[int, int]:
    """Digits that are pressed anew: their clocks may differ."""
    mine = not source.keeps_keys and source.negotiated and source.negotiated.telephone_event
    theirs = target.negotiated and target.negotiated.telephone_event
    return {mine.receive.payload_type: theirs.send.payload_type} if mine and theirs else {}


def shares_codec(source: MediaLeg, payload_map: Mapping[int, int]) -> bool:
    """Whether what `source` sends first of all is passed on as it is."""
    pairs = source.pairs
    return bool(pairs) and pairs[0].receive.payload_type in payload_map


class Translation(NamedTuple):
    """Payload types that are translated, and how."""

    types: dict[int, int]
    how: tuple[int, str]


def translation(source: MediaLeg, target: MediaLeg) -> Translation | None:
    """Between the two laws of G.711, octet by octet in the relay."""
    mine, theirs = source.pairs, target.pairs
    if not mine or not theirs or {source.codec, target.codec} != {"PCMU", "PCMA"}:
        return None
    number = mine[0].receive.payload_type
    law = "to_alaw" if target.codec == "PCMA" else "to_ulaw"
    return Translation({number: theirs[0].send.payload_type}, (number, law))
