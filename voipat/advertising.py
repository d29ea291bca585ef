"""Which address of ours a peer is told: behind a 1:1 NAT the public one, except where the local one is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from types import MappingProxyType
from typing import Final

from sipcore.routing import is_ip_literal

# Peers whose network was looked up; forgotten all at once when there are more.
_REMEMBERED: Final = 10_000
_NONE: Final[Mapping[str, str]] = MappingProxyType({})


class Advertising:
    """`public` for everybody of its family outside of `local_networks`; None: the address of the socket is right.

    `by_local` has other public addresses for some sockets, by their address; 0.0.0.0 and :: stand for all of a family.

    Via, Contact, Record-Route and SDP all ask here, so that they never tell one peer two stories.
    """

    __slots__ = ("_by_local", "_is_local", "_networks", "public")

    def __init__(
        self,
        public: str | None,
        local_networks: Sequence[IPv4Network | IPv6Network] = (),
        by_local: Mapping[str, str] = _NONE,
    ) -> None:
        for address in (public, *by_local.values()):
            if address is not None:
                ip_address(address)  # a name would go into SIP and SDP as it is
        self.public: Final = public
        self._by_local = dict(by_local)
        self._networks = tuple(local_networks)
        self._is_local: dict[str, bool] = {}

    def towards(self, peer: str, local: str) -> str:
        """The address for `peer`, to whom our socket is on `local`."""
        by_local, public = self._by_local, self.public
        if by_local:
            public = by_local.get(local) or by_local.get("::" if ":" in local else "0.0.0.0") or public
        if public is None or (":" in public) != (":" in local) or self._knows(peer):
            return local
        return public

    @property
    def addresses(self) -> frozenset[str]:
        """Every address that peers are told and that no socket of ours has."""
        return frozenset({*self._by_local.values(), *([] if self.public is None else [self.public])})

    def _knows(self, peer: str) -> bool:
        if not self._networks:
            return False
        known = self._is_local.get(peer)
        if known is None:
            if len(self._is_local) >= _REMEMBERED:
                self._is_local.clear()
            known = self._is_local[peer] = self._contains(peer)
        return known

    def _contains(self, peer: str) -> bool:
        host = peer.strip("[]")
        if not is_ip_literal(host):
            return False
        address = ip_address(host.partition("%")[0])
        return any(address in network for network in self._networks)
