"""Typed header fields: Via, name-addr with parameters, CSeq, challenges and credentials (RFC 3261 §20, §25)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from sipcore.errors import ParseError
from sipcore.uri import Uri

WHITESPACE = " \t\r\n"


def split_outside(text: str, separator: str) -> list[str]:
    """Splits at `separator` outside quoted strings and angle brackets; linear in the length."""
    if separator not in text:
        return [text]
    if '"' not in text and "<" not in text:
        return text.split(separator)
    parts: list[str] = []
    start = index = 0
    quoted = bracketed = False
    length = len(text)
    while index < length:
        char = text[index]
        if quoted:
            if char == "\\":
                index += 1
            elif char == '"':
                quoted = False
        elif char == '"':
            quoted = True
        elif char == "<":
            bracketed = True
        elif char == ">":
            bracketed = False
        elif char == separator and not bracketed:
            parts.append(text[start:index])
            start = index + 1
        index += 1
    if quoted:
        raise ParseError("unterminated quoted string")
    parts.append(text[start:])
    return parts


def unquote(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] == '"':
        body = text[1:-1]
        if "\\" not in body:
            return body
        out = []
        index = 0
        while index < len(body):
            if body[index] == "\\" and index + 1 < len(body):
                index += 1
            out.append(body[index])
            index += 1
        return "".join(out)
    return text


def quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parse_params(text: str) -> dict[str, str | None]:
    """`;a=1;b` → {"a": "1", "b": None}; names are case-insensitive and lower-cased."""
    params: dict[str, str | None] = {}
    for part in split_outside(text, ";"):
        part = part.strip(WHITESPACE)
        if not part:
            continue
        name, equals, value = part.partition("=")
        name = name.strip(WHITESPACE).lower()
        if not name:
            raise ParseError("parameter without a name")
        params.setdefault(name, value.strip(WHITESPACE) if equals else None)
    return params


def format_params(params: Mapping[str, str | None]) -> str:
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params.items())


@dataclass(slots=True)
class NameAddr:
    """`"Alice" <sip:alice@example.com>;tag=1`, or the bare form, whose parameters belong to the header."""

    uri: Uri
    display_name: str | None = None
    params: dict[str, str | None] = field(default_factory=dict)

    @property
    def tag(self) -> str | None:
        return self.params.get("tag")

    @classmethod
    def parse(cls, text: str) -> NameAddr:
        text = text.strip(WHITESPACE)
        if text.startswith('"'):
            end = 1
            while end < len(text) and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            if end >= len(text):
                raise ParseError("unterminated quoted string")
            display: str | None = unquote(text[: end + 1])
            rest = text[end + 1 :].lstrip(WHITESPACE)
            if not rest.startswith("<"):
                raise ParseError("display name without <uri>")
        else:
            before, bracket, after = text.partition("<")
            if not bracket:
                head, semicolon, tail = text.partition(";")
                return cls(Uri.parse(head.strip(WHITESPACE)), None, parse_params(tail) if semicolon else {})
            display = before.strip(WHITESPACE) or None
            rest = "<" + after
        close = rest.find(">")
        if close < 0:
            raise ParseError("no > after <")
        tail = rest[close + 1 :].strip(WHITESPACE)
        if tail and not tail.startswith(";"):
            raise ParseError("garbage after >")
        return cls(Uri.parse(rest[1:close].strip(WHITESPACE)), display, parse_params(tail) if tail else {})

    def __str__(self) -> str:
        name = "" if self.display_name is None else quote(self.display_name) + " "
        return f"{name}<{self.uri}>{format_params(self.params)}"


@dataclass(slots=True)
class Via:
    """One hop (RFC 3261 §20.42); `port` None when it was not written."""

    transport: str
    host: str
    port: int | None = None
    params: dict[str, str | None] = field(default_factory=dict)
    protocol: str = "SIP/2.0"

    @property
    def branch(self) -> str | None:
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        return self.params.get("received")

    @property
    def rport(self) -> str | None:
        return self.params.get("rport")

    @property
    def sent_by(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host.lower() if self.port is None else f"{host.lower()}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Via:
        head, semicolon, tail = text.partition(";")
        parts = head.split("/", 2)
        if len(parts) != 3:
            raise ParseError("Via without protocol")
        words = parts[2].split(None, 1)
        if len(words) != 2:
            raise ParseError("Via without sent-by")
        protocol = f"{parts[0].strip(WHITESPACE)}/{parts[1].strip(WHITESPACE)}".upper()
        host, port = split_host_port(words[1].strip(WHITESPACE))
        return cls(words[0].upper(), host, port, parse_params(tail) if semicolon else {}, protocol)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.protocol}/{self.transport} {host}{port}{format_params(self.params)}"


def split_host_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        close = text.find("]")
        if close < 0:
            raise ParseError("no ] in an IPv6 address")
        host, rest = text[1:close], text[close + 1 :].strip(WHITESPACE)
        if rest and not rest.startswith(":"):
            raise ParseError("garbage after ]")
        port = rest[1:]
        colon = bool(rest)
    else:
        host, separator, port = text.partition(":")
        host = host.strip(WHITESPACE)
        colon = bool(separator)
    if not host:
        raise ParseError("empty host")
    return host, parse_port(port.strip(WHITESPACE)) if colon else None


def parse_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ParseError(f"bad port {text[:12]!r}")
    return int(text)


class CSeq(NamedTuple):
    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        words = text.split()
        if len(words) != 2 or not (words[0].isascii() and words[0].isdigit() and len(words[0]) <= 10):
            raise ParseError("bad CSeq")
        number = int(words[0])
        if number >= 1 << 32:
            raise ParseError("CSeq number over 2**32")
        return cls(number, words[1])

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@dataclass(slots=True)
class AuthParams:
    """A scheme and its comma-separated parameters; values are unquoted, names in lower case."""

    scheme: str
    params: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        scheme, _, rest = text.strip(WHITESPACE).partition(" ")
        params: dict[str, str] = {}
        for part in split_outside(rest, ","):
            name, equals, value = part.partition("=")
            name = name.strip(WHITESPACE).lower()
            if not name:
                continue
            if not equals:
                raise ParseError("authentication parameter without a value")
            params.setdefault(name, unquote(value.strip(WHITESPACE)))
        return cls(scheme, params)


class Challenge(AuthParams):
    """WWW-Authenticate, Proxy-Authenticate."""


class Credentials(AuthParams):
    """Authorization, Proxy-Authorization."""
