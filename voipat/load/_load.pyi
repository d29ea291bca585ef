from socket import socket
from typing import Any, Final

from voipat.load.histogram import RawHistogram

UDP: Final[int]
TCP: Final[int]
FED: Final[int]
REGISTRATION: Final[int]
CALL: Final[int]
OPTIONS: Final[int]
NAME_MAX: Final[int]
TARGETS_MAX: Final[int]
PLANS_MAX: Final[int]
PROFILES_MAX: Final[int]

_Description = tuple[str, str, str, str]
_Media = tuple[int, str, int, int, str]

def bucketed(values_us: list[int]) -> RawHistogram: ...

class Agent:
    def __init__(
        self,
        domain: str,
        run: str,
        *,
        flows: int,
        accounts: int,
        room: int,
        patience: float,
        answer_media_from: int,
    ) -> None: ...
    def add_flow(self, sock: socket | None, kind: int, host: str) -> int: ...
    def add_account(self, user: str, ha1: str, flow: int) -> int: ...
    def set_profile(self, number: int, description: _Description, rings: bool) -> None: ...
    def add_plan(
        self,
        kind: int,
        *,
        rate: float,
        count: int,
        hold: float | None,
        accounts_from: int,
        accounts: int,
        targets: list[str],
        contact: str,
        offer: _Description,
        media_from: int,
        seed: int,
        keeps_nonce: bool,
        delay: float,
    ) -> int: ...
    def run(self, seconds: float) -> None: ...
    def stop(self, plan: int) -> None: ...
    def hang_up(self, plan: int, rate: float) -> None: ...
    def counts(self, plan: int) -> dict[str, Any]: ...
    def totals(self) -> dict[str, int]: ...
    def media(self, plan: int) -> list[_Media]: ...
    def answered_media(self, profile: int) -> list[_Media]: ...
    def feed(self, flow: int, octets: bytes) -> None: ...
    def outgoing(self, flow: int) -> bytes: ...

class Audio:
    def __init__(self, payloads: list[bytes], *, step: int, stamped: bool) -> None: ...

class Choir:
    def __init__(self, room: int, srtp: tuple[int, ...] = (0, 0)) -> None: ...
    def add(
        self,
        sock: socket,
        audio: Audio,
        *,
        payload_type: int,
        ssrc: int,
        sequence: int = 0,
        timestamp: int = 0,
        seal: int = 0,
        open: int = 0,
        owned: object = None,
    ) -> None: ...
    def send(self) -> None: ...
    def receive(self) -> None: ...
    def stop(self, step: int) -> None: ...
    def positions(self) -> list[tuple[int, int]]: ...
    def counts(self) -> dict[str, Any]: ...
