"""The layers that a campaign shoots at, and what its page says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fuzz import codecs, endpoint, hostile, parameters, rtp, sdp_mutations, secure, sip_mutations, sound, stream
from fuzz.finding import Finding

MIXTURES: Final = 20_000


@dataclass(frozen=True)
class Layer:
    """One target: its part of all mutants, and the names in its tally, outermost layer first."""

    module: str
    title: str
    share: float
    reached: tuple[str, ...]
    tried: Callable[[int, int], Counter[str]]


@dataclass(frozen=True)
class Campaign:
    """Layers, and their page: `closing` makes its last line from the count and the seed. It may raise Finding."""

    heading: str
    command: str
    inputs: str
    kept_as: str
    layers: tuple[Layer, ...]
    notes: tuple[str, ...]
    closing: Callable[[int, int], str]


def hostile_messages(count: int, seed: int) -> str:
    """A line about messages that are made to be slow."""
    try:
        tally, tokenizer, receive = hostile.tried(min(MIXTURES, max(100, count // 100)), seed)
    except Finding as finding:
        raise Finding(f"fuzz.hostile: {finding}") from finding
    line = f"Hostile messages of 64 kB (`fuzz.hostile`): {tally['messages']:,}, the slowest takes"
    return f"{line} {1000 * tokenizer:.1f} ms of CPU in the tokenizer and {1000 * receive:.1f} ms in `receive`."


SIGNALLING: Final = Campaign(
    "Fuzzing",
    "make fuzz COUNT=10000000",
    "mutated messages",
    "campaign",
    (
        Layer("fuzz.sip_mutations", "parser", 0.40, ("refused", "valid"), sip_mutations.tried),
        Layer(
            "fuzz.stream",
            "stream framing",
            0.20,
            ("streams", "streams cut off by an error", "messages framed", "messages valid"),
            stream.tried,
        ),
        Layer(
            "fuzz.sdp_mutations",
            "SDP",
            0.15,
            ("refused by the parser", "refused by the negotiation", "negotiated"),
            sdp_mutations.tried,
        ),
        Layer(
            "fuzz.endpoint",
            "`Endpoint.receive`",
            0.25,
            ("dropped", "answered 4xx", "transaction layer", "user"),
            endpoint.tried,
        ),
    ),
    (
        "A mutant that `Endpoint.receive` neither drops nor answers with a 4xx by its text reaches the",
        "transaction layer; what is told to the user of the endpoint besides is counted once more as *user*. *Slow*:",
        f"over {1000 * endpoint.SLOWEST_S:.0f} ms of CPU in `receive`, measured once and beside other programs;",
        "the others have bounds that only a quadratic reader breaks.",
    ),
    hostile_messages,
)

MEDIA: Final = Campaign(
    "Fuzzing of media",
    "make fuzz-media COUNT=10000000",
    "mutated inputs",
    "media",
    (
        Layer(
            "fuzz.rtp",
            "RTP and RTCP",
            0.40,
            ("taken", "dropped not_rtp", "dropped rtcp_junk", "dropped foreign", "DigitReceived", "rtp sent"),
            rtp.tried,
        ),
        Layer(
            "fuzz.secure",
            "SRTP, SRTCP, and STUN and DTLS among them",
            0.30,
            (
                "opened",
                "dropped srtp_auth",
                "dropped srtp_replay",
                "dropped srtp_malformed",
                "dropped stun",
                "dropped dtls_unwanted",
                "handshakes",
                "handshakes failed",
            ),
            secure.tried,
        ),
        Layer(
            "fuzz.parameters",
            "SDES and DTLS parameters",
            0.10,
            ("refused", "plain", "handshake", "keys"),
            parameters.tried,
        ),
        Layer(
            "fuzz.codecs",
            "payloads of G.711, L16, G.722, G.729, Opus",
            0.05,
            ("G729 refused", "G729 decoded", "opus refused", "opus decoded", "G722 refused", "G722 decoded"),
            codecs.tried,
        ),
        Layer(
            "fuzz.sound",
            "WAV, Opus files, sealed recordings",
            0.15,
            ("WAV refused", "WAV read", "Opus refused", "Opus read", "sealed refused", "sealed read"),
            sound.tried,
        ),
    ),
    (
        "A datagram is taken, or dropped for one of the reasons of `voipat stats`, of which some are shown. The",
        "handshakes come beside the datagrams, one for each 60, with mutated flights among theirs.",
    ),
    lambda count, seed: "",
)

CAMPAIGNS: Final = {"signalling": SIGNALLING, "media": MEDIA}
