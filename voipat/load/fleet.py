"""Which phones there are and what they are to do: values that go to the processes of the generator as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

# Of the fleet's first port: who calls and registers, who answers, who is a trunk. Each process has its own ten.
CALLING, ANSWERING, TRUNK = 0, 1, 2
PORTS_PER_PROCESS: Final = 10

Transport = Literal["udp", "tcp", "tls"]
Kind = Literal["register", "call", "options"]


@dataclass(frozen=True, slots=True)
class Profile:
    """How calls are answered: with which codec, encrypted or not, with 180 before the 200 or at once."""

    codec: str = "PCMU"
    srtp: bool = False
    rings: bool = True


@dataclass(frozen=True, slots=True)
class Fleet:
    """The phones. `users` have passwords; those in a plan are its callers, or register.

    `profiles` are reached by users that register with `answer_as`. Over TCP and TLS callers have `connections`, and as
    many have those who answer. `room`: units at a time in each process; a call has two media ports from `media_from`
    on, and two more above all of these when it is answered here. Media that is not sent needs no port.
    """

    domain: str
    server: tuple[str, int]
    users: tuple[tuple[str, str], ...] = ()
    transport: Transport = "udp"
    host: str = "127.0.0.1"
    sip_from: int = 9000
    media_from: int = 10000
    room: int = 2000
    connections: int = 8
    profiles: tuple[Profile, ...] = (Profile(),)
    patience: float = 32.0
    certificates: str = ""  # a file of those that are trusted, for TLS


@dataclass(frozen=True, slots=True)
class Plan:
    """`count` units at `rate` a second; `hold` None leaves calls up until they are hung up.

    `users`: positions in the fleet's list, first and how many; 0 is all. `from_trunk` calls without a password, as that
    number. `answer_as` registers so that calls come to this profile. `media`: the call has ports that can be sent from.
    """

    kind: Kind
    rate: float
    count: int
    hold: float | None = 0.2
    users: tuple[int, int] = (0, 0)
    targets: tuple[str, ...] = ()
    from_trunk: str = ""
    answer_as: int | None = None
    codec: str = "PCMU"
    srtp: bool = False
    media: bool = False
    seed: int = 0  # 0: evenly spaced; else a Poisson process
    keeps_nonce: bool = False
    delay: float = 0.05


@dataclass(frozen=True, slots=True)
class Part:
    """Media to be sent: by the calls of a plan, or by those that a profile has answered.

    `stamped` where payloads pass the server unchanged: then delay and loss are known from one phone to the other.
    """

    plan: int | None = None
    profile: int | None = None
    codec: str = "PCMU"
    srtp: bool = False
    stamped: bool = False
