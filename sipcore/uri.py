"""SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966). Immutable; escapes are kept as written."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sipcore.errors import ParseError

EMPTY: Mapping[str, str | None] = MappingProxyType({})
NO_HEADERS: Mapping[str, str] = MappingProxyType({})
HEX = frozenset("0123456789abcdefABCDEF")


def unescape(text: str) -> str:
    """Percent escapes decoded; a broken one is an error (RFC 3261 §19.1.2)."""
    if "%" not in text:
        return text
    out = bytearray()
    raw = text.encode("utf-8", "surrogateescape")
    index = 0
    while index < len(raw):
        if raw[index] == 0x25:
            digits = raw[index + 1 : index + 3].decode("latin-1")
            if len(digits) != 2 or not HEX.issuperset(digits):
                raise ParseError("bad % escape in a URI")
            out.append(int(digits, 16))
            index += 3
        else:
            out.append(raw[index])
            index += 1
    return out.decode("utf-8", "surrogateescape")


class Uri:
    """`user` and `password` as written; `host` without brackets; `params` names in lower case."""

    __slots__ = ("_text", "headers", "host", "params", "password", "port", "scheme", "user")

    def __init__(
        self,
        scheme: str = "sip",
        user: str | None = None,
        host: str = "",
        port: int | None = None,
        *,
        password: str | None = None,
        params: Mapping[str, str | None] = EMPTY,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self.scheme = scheme
        self.user = user
        self.password = password
        self.host = host
        self.port = port
        self.params = params
        self.headers = headers
        self._text: str | None = None

    @classmethod
    def parse(cls, text: str) -> Uri:
        """Raises ParseError."""
        scheme, colon, rest = text.partition(":")
        if not colon or not scheme or not scheme[0].isalpha():
            raise ParseError(f"no URI scheme in {text[:40]!r}")
        if not text.isprintable() and any(char in " \t\r\n\0" for char in text) or " " in text:
            raise ParseError("white space in a URI")
        scheme = scheme.lower()
        if scheme in ("sip", "sips"):
            uri = cls._parse_sip(scheme, rest)
        elif scheme == "tel":
            number, _, params = rest.partition(";")
            uri = cls(scheme, number, "", params=_params(params) if params else EMPTY)
        else:
            uri = cls(scheme, None, rest)
        uri._text = text
        return uri

    @classmethod
    def _parse_sip(cls, scheme: str, rest: str) -> Uri:
        from sipcore.fields import split_host_port

        # "@" may stand in headers ("?to=a@b"), and ";" and "?" in a user part: the userinfo ends at the last "@"
        # before the first "?" that follows an "@", or at the only one.
        user: str | None = None
        password: str | None = None
        at = rest.find("@")
        if at >= 0:
            userinfo, rest = rest[:at], rest[at + 1 :]
            user, colon, secret = userinfo.partition(":")
            password = secret if colon else None
            if not user:
                raise ParseError("empty user in a URI")
            unescape(user)
        rest, question, headers_text = rest.partition("?")
        hostport, semicolon, params_text = rest.partition(";")
        host, port = split_host_port(hostport)
        return cls(
            scheme,
            user,
            host,
            port,
            password=password,
            params=_params(params_text) if semicolon else EMPTY,
            headers=_headers(headers_text) if question else NO_HEADERS,
        )

    def replace(self, **changes: Any) -> Uri:
        values: dict[str, Any] = {
            "scheme": self.scheme,
            "user": self.user,
            "host": self.host,
            "port": self.port,
            "password": self.password,
            "params": self.params,
            "headers": self.headers,
        }
        values.update(changes)
        return Uri(**values)

    @property
    def aor(self) -> str:
        """`sip:user@host`: the address of record, without port and parameters (RFC 3261 §10.3 step 5)."""
        if self.scheme == "tel":
            return f"tel:{self.user}"
        user = "" if self.user is None else f"{unescape(self.user)}@"
        return f"sip:{user}{self.host.lower()}"

    @property
    def host_port(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def equivalent(self, other: Uri) -> bool:
        """RFC 3261 §19.1.4."""
        if self.scheme != other.scheme or self.port != other.port or self.host.lower() != other.host.lower():
            return False
        if _decoded(self.user) != _decoded(other.user) or _decoded(self.password) != _decoded(other.password):
            return False
        for name in self.params.keys() | other.params.keys():
            both = name in self.params and name in other.params
            if both and _lower(self.params[name]) != _lower(other.params[name]):
                return False
            if not both and name in ("user", "ttl", "method", "maddr", "transport"):
                return False
        return {k.lower(): v for k, v in self.headers.items()} == {k.lower(): v for k, v in other.headers.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Uri) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"Uri({str(self)!r})"

    def __str__(self) -> str:
        if self._text is None:
            self._text = self._format()
        return self._text

    def _format(self) -> str:
        params = "".join(f";{k}" if v is None else f";{k}={v}" for k, v in self.params.items())
        if self.scheme == "tel":
            return f"tel:{self.user}{params}"
        user = "" if self.user is None else self.user
        if self.password is not None:
            user += f":{self.password}"
        at = "@" if self.user is not None else ""
        headers = "&".join(f"{k}={v}" for k, v in self.headers.items())
        return f"{self.scheme}:{user}{at}{self.host_port}{params}{'?' + headers if headers else ''}"


def _decoded(text: str | None) -> str | None:
    return None if text is None else unescape(text)


def _lower(text: str | None) -> str | None:
    return None if text is None else unescape(text).lower()


def _params(text: str) -> Mapping[str, str | None]:
    params: dict[str, str | None] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not name:
            raise ParseError("empty parameter in a URI")
        params.setdefault(name.lower(), value if equals else None)
    return params


def _headers(text: str) -> Mapping[str, str]:
    headers: dict[str, str] = {}
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise ParseError("bad header in a URI")
        headers[name] = value
    return headers
