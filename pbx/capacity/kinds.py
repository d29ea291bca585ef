"""What is measured: the kinds of call, and how each looks from the phones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voipat.load import Profile

DOMAIN: Final = "capacity.test"
USERS: Final = 2000  # who calls and registers
FIRST_USER: Final = 10000
TRUNK_NUMBER: Final = "+12025550100"
OUTSIDER: Final = "+12025550177"
QUEUE: Final = "900"
ROOMS: Final = tuple(str(number) for number in range(910, 940))
PARTIES_PER_ROOM: Final = 6

# How calls are answered, by the number of the profile. Held calls of two kinds share none: each is sent from by itself.
SILENT, CLEAR, SEALED, WIDE, PLAIN, TAPED, FEW_CLEAR = range(7)
PCMU: Final = Profile("PCMU")
PROFILES: Final = (PCMU, PCMU, Profile("PCMU", srtp=True), Profile("G722"), PCMU, PCMU, PCMU)


@dataclass(frozen=True, slots=True)
class MediaKind:
    """A kind of call with media: who is called, by what codec, and how many are held at a time when it is measured.

    `stamped`: payloads pass unchanged, so that delay is known. `answered` by that profile; None: by the server itself.
    """

    name: str
    title: str
    targets: tuple[str, ...]
    calls: int
    codec: str = "PCMU"
    srtp: bool = False
    stamped: bool = False
    answered: int | None = None


# Who is called; each has one phone, which answers by its profile.
CALLEE, CLEAR_CALLEE, SEALED_CALLEE, WIDE_CALLEE, PLAIN_CALLEE, TAPED_CALLEE, FEW_CALLEE = (
    str(800 + number) for number in range(7)
)
TLS_CALLEE: Final = "810"  # over TLS, by the profile of those that are sealed
CALLEES: Final = {
    CALLEE: SILENT,
    CLEAR_CALLEE: CLEAR,
    SEALED_CALLEE: SEALED,
    WIDE_CALLEE: WIDE,
    PLAIN_CALLEE: PLAIN,
    TAPED_CALLEE: TAPED,
    FEW_CALLEE: FEW_CLEAR,
}

# So many that each by itself keeps its thread a third to a half busy, where it takes a core of 2024 class.
RELAY: Final = MediaKind("relay", "G.711 call, passed on", (CLEAR_CALLEE,), 384, stamped=True, answered=CLEAR)
# By these alone, and by these beside the others, it is known what being woken takes.
FEW: Final = MediaKind("few", "few G.711 calls, passed on", (FEW_CALLEE,), 64, stamped=True, answered=FEW_CLEAR)
SRTP: Final = MediaKind(
    "srtp", "G.711 call, SRTP on both legs", (SEALED_CALLEE,), 200, srtp=True, stamped=True, answered=SEALED
)
OPUS: Final = MediaKind("opus", "Opus to G.711", (PLAIN_CALLEE,), 56, codec="OPUS", answered=PLAIN)
G722: Final = MediaKind("g722", "G.711 to G.722", (WIDE_CALLEE,), 120, answered=WIDE)
PLAY: Final = MediaKind("play", "channel with music or a prompt", (QUEUE,), 300)
CONFERENCE: Final = MediaKind("conference", "party of a conference of 6", ROOMS, PARTIES_PER_ROOM * len(ROOMS))
RECORD: Final = MediaKind("record", "recorded G.711 call", (TAPED_CALLEE,), 160, stamped=True, answered=TAPED)

MEDIA_KINDS: Final = (RELAY, SRTP, OPUS, G722, PLAY, CONFERENCE, RECORD)
