"""Typed header fields: name-addr, Via, CSeq, challenges and credentials (RFC 3261 §20, §25).

Values are immutable. Parameter names are in lower case; parameter values stay as written, quotes included, so that
what is parsed and formatted says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import NamedTuple, Self

from sipcore._sipfields import NameAddrFields, ViaFields, parse_auth, parse_cseq, parse_host_port, parse_params
from sipcore.values import value_object

__all__ = [
    "AuthParams",
    "CSeq",
    "Challenge",
    "Credentials",
    "NameAddr",
    "Via",
    "format_params",
    "parse_host_port",
    "parse_params",
    "quote",
    "qvalue",
]

# RFC 3261 §20.6, §20.27, §20.44: these go without quotes; every other value is a quoted string.
_CHALLENGE_TOKENS = frozenset(("algorithm", "stale", "charset", "userhash"))
_CREDENTIALS_TOKENS = frozenset(("algorithm", "qop", "nc", "userhash"))


def quote(text: str) -> str:
    """`text` as a quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def qvalue(text: str | None, otherwise: float = 1.0) -> float:
    """The `q` of a contact (RFC 3261 §25.1), 1 without one; what is none counts as `otherwise`."""
    if text is None:
        return 1.0
    try:
        value = float(text)
    except ValueError:
        return otherwise
    return value if 0.0 <= value <= 1.0 else otherwise


def format_params(params: Mapping[str, str | None]) -> str:
    """{"a": "1", "b": None} → `;a=1;b`."""
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params.items())


class NameAddr(NameAddrFields):
    """`"Alice" <sip:alice@example.com>;tag=1`, or the bare form, whose parameters belong to the header."""

    __slots__ = ()

    def __str__(self) -> str:
        name = "" if self.display_name is None else quote(self.display_name) + " "
        return f"{name}<{self.uri}>{format_params(self.params)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NameAddr) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"NameAddr({str(self)!r})"


class Via(ViaFields):
    """One hop (RFC 3261 §20.42): `protocol`, `transport` in upper case, `host` without brackets, `port` if written."""

    __slots__ = ()

    @property
    def received(self) -> str | None:
        return self.params.get("received")

    @property
    def rport(self) -> str | None:
        """RFC 3581: the port of the response; None without the parameter and without its value (see `params`)."""
        return self.params.get("rport")

    @property
    def sent_by(self) -> str:
        """host:port in lower case, as transactions compare it (§17.2.3)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host.lower() if self.port is None else f"{host.lower()}:{self.port}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.protocol}/{self.transport} {host}{port}{format_params(self.params)}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Via) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"Via({str(self)!r})"


class CSeq(NamedTuple):
    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Raises ParseError."""
        return parse_cseq(text)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@value_object(frozen=True, slots=True)
class AuthParams:
    """A scheme and its comma-separated parameters: names in lower case, values without quotes."""

    scheme: str
    params: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ParseError."""
        return cls(*parse_auth(text))

    def _format(self, tokens: frozenset[str]) -> str:
        pairs = (f"{name}={value if name in tokens else quote(value)}" for name, value in self.params.items())
        return f"{self.scheme} {', '.join(pairs)}"


class Challenge(AuthParams):
    """WWW-Authenticate, Proxy-Authenticate."""

    __slots__ = ()

    def __str__(self) -> str:
        return self._format(_CHALLENGE_TOKENS)


class Credentials(AuthParams):
    """Authorization, Proxy-Authorization."""

    __slots__ = ()

    def __str__(self) -> str:
        return self._format(_CREDENTIALS_TOKENS)
