"""What a peer may make us hold or look at. Over a limit the message is refused with the status given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    max_message: int = 65_535  # bytes of a message; 513. A UDP datagram can't be larger.
    max_headers: int = 200  # header lines; 400. Kamailio's default pool holds fewer.
    max_header_line: int = 8_192  # bytes of one header, folded lines together; 400. nginx and Apache: 8 kB.
    max_uri: int = 2_048  # bytes of a Request-URI; 414.
    max_vias: int = 70  # Max-Forwards starts at 70 (RFC 3261 §8.1.1.6), so an honest message has no more; 400.
    # Transactions under way; 503. One lives 32 s on UDP: 3,000 requests a second with room to spare, some 200 MB.
    max_transactions: int = 200_000
    max_contacts: int = 64  # Contact values of a REGISTER; 400.


DEFAULT_LIMITS = Limits()
