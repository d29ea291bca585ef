"""SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966); other schemes are kept as they are.

A URI is immutable. `user`, `password`, parameters and headers are as written, escapes included, so that a URI goes on
as it came: an escaped `;` or `@` in the user part is not the same as a bare one. `unescape` gives what they say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sipcore._sipfields import UriFields
from sipcore.errors import ParseError

# RFC 3966 §5.1.1: visual separators, which say nothing.
_SEPARATORS = str.maketrans("", "", "-.() ")
_SHORT = 4
_TELEPHONE = re.compile(r"\+?[0-9A-Fa-f*#]+")
_HEX = frozenset(b"0123456789abcdefABCDEF")
# RFC 3261 §19.1.2: escaped or not, these mean different things; any other character is equal to its escape.
_RESERVED = frozenset(b";/?:@&=+$,")
# RFC 3261 §25.1: unreserved and user-unreserved.
_BARE = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()&=+$,;?/")
# RFC 3261 §19.1.4: these count even when only one of the URIs has them.
_DECISIVE = frozenset(("user", "ttl", "method", "maddr", "transport"))


def unescape(text: str) -> str:
    """`%41b` → `Ab`. Raises ParseError for a broken escape."""
    if "%" not in text:
        return text
    first, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    out = bytearray(first)
    for part in rest:
        out.append(_escaped_byte(part))
        out += part[2:]
    return out.decode("utf-8", "surrogateescape")


def escape_user(text: str) -> str:
    """`a b` → `a%20b`: what may not stand bare in the user part of a URI (RFC 3261 §25.1) is escaped."""
    if text.isalnum() and text.isascii():
        return text
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in _BARE else f"%{byte:02X}" for byte in data)


def telephone_number(uri: Uri) -> str | None:
    """The number of a tel URI, or of a SIP URI whose user is one (RFC 3261 §19.1.6: `user=phone`); None for any other.

    Without visual separators and parameters. A local number whose `phone-context` is the beginning of a global one has
    that in front (RFC 3966 §5.1.5), unless it is so short that it may be an extension or an emergency number.
    """
    if uri.scheme == "tel":
        text, context = uri.user or "", uri.params.get("phone-context")
    elif uri.params.get("user") == "phone" and uri.user:
        text, *parameters = uri.user.split(";")
        named = (each.partition("=") for each in parameters)
        context = next((value for name, _, value in named if name.lower() == "phone-context"), None)
    else:
        return None
    try:
        number = unescape(text).translate(_SEPARATORS)
        prefix = unescape(context or "").translate(_SEPARATORS)
    except ParseError:
        return None
    if prefix.startswith("+") and not number.startswith("+") and len(number) > _SHORT:
        number = prefix + number
    return number if _TELEPHONE.fullmatch(number) else None


def _escaped_byte(part: bytes) -> int:
    if len(part) < 2 or not _HEX.issuperset(part[:2]):
        raise ParseError("bad % escape in a URI")
    return int(part[:2], 16)


def _comparable(text: str | None) -> bytes | None:
    """Escapes resolved where that changes nothing, so that equal texts are equal."""
    if text is None or "%" not in text:
        return None if text is None else text.encode("utf-8", "surrogateescape")
    first, *rest = text.encode("utf-8", "surrogateescape").split(b"%")
    out = bytearray(first)
    for part in rest:
        byte = _escaped_byte(part)
        out += b"%%%02X" % byte if byte in _RESERVED or byte == 0x25 else bytes((byte,))
        out += part[2:]
    return bytes(out)


class Uri(UriFields):
    """`scheme`, `user`, `password`, `host` (without brackets), `port`, `params` (names in lower case), `headers`.

    A tel URI has its number in `user` and no host. A URI of another scheme has everything in `opaque`.
    """

    __slots__ = ()

    def replace(self, **changes: Any) -> Uri:
        """This URI with other parts: `uri.replace(host="example.com", port=None)`."""
        parts: dict[str, Any] = {
            "scheme": self.scheme,
            "user": self.user,
            "password": self.password,
            "host": self.host,
            "port": self.port,
            "params": self.params,
            "headers": self.headers,
            "opaque": self.opaque,
        }
        return Uri(**(parts | changes))

    @property
    def aor(self) -> str:
        """`sip:user@host`: the address of record, without port and parameters (RFC 3261 §10.3 step 5)."""
        if self.scheme == "tel":
            return f"tel:{self.user}"
        if self.opaque is not None:
            return str(self)
        user = "" if self.user is None else f"{unescape(self.user)}@"
        return f"sip:{user}{self.host.lower()}"

    @property
    def host_port(self) -> str:
        """As in the URI, an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def equivalent(self, other: Uri) -> bool:
        """RFC 3261 §19.1.4."""
        if (self.scheme, self.port, self.opaque) != (other.scheme, other.port, other.opaque):
            return False
        if self.host.lower() != other.host.lower() or _comparable(self.user) != _comparable(other.user):
            return False
        return (
            _comparable(self.password) == _comparable(other.password)
            and _same_params(self.params, other.params)
            and _header_set(self.headers) == _header_set(other.headers)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Uri) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __repr__(self) -> str:
        return f"Uri({str(self)!r})"

    def _format(self) -> str:
        """The text of a URI that was made and not parsed."""
        if self.opaque is not None:
            return f"{self.scheme}:{self.opaque}"
        params = "".join(f";{name}" if value is None else f";{name}={value}" for name, value in self.params.items())
        if self.scheme == "tel":
            return f"tel:{self.user}{params}"
        password = "" if self.password is None else f":{self.password}"
        user = "" if self.user is None else f"{self.user}{password}@"
        headers = "&".join(f"{name}={value}" for name, value in self.headers.items())
        return f"{self.scheme}:{user}{self.host_port}{params}{'?' + headers if headers else ''}"


def _same_params(ours: Mapping[str, str | None], theirs: Mapping[str, str | None]) -> bool:
    for name in ours.keys() | theirs.keys():
        if name in ours and name in theirs:
            if _caseless(ours[name]) != _caseless(theirs[name]):
                return False
        elif name in _DECISIVE:
            return False
    return True


def _caseless(text: str | None) -> bytes | None:
    found = _comparable(text)
    return None if found is None else found.lower()


def _header_set(headers: Mapping[str, str]) -> dict[str, bytes | None]:
    return {name.lower(): _comparable(value) for name, value in headers.items()}
