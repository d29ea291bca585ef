"""TLS below SIP (RFC 3261 §26.2.1, RFC 5922, RFC 9325): contexts, certificates by name, and TLS of one connection.

The handshake runs over memory (`ssl.MemoryBIO`), so that a connection is counted, capped and timed from the moment it
is accepted, and so that TLS costs no more memory than OpenSSL needs. The contexts of a listener are replaced as a
whole (`TlsSource`): the new ones hold from the next handshake on and touch no connection that is up. Each generation
has its own keys for session tickets (RFC 9325 §3.4).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sipcore.flow import Flow, TlsFlow

# RFC 9325 §4.2 for TLS 1.2: forward secrecy and AEAD; the suites of TLS 1.3 are all of that kind.
CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"

# The largest TLS record.
_RECORD: Final = 16_384
_OLD_VERSION: Final = frozenset({"UNSUPPORTED_PROTOCOL", "VERSION_TOO_LOW", "INAPPROPRIATE_FALLBACK"})
_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST"})
_CERTIFICATE: Final = frozenset({"PEER_DID_NOT_RETURN_A_CERTIFICATE", "CERTIFICATE_VERIFY_FAILED"})


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate with its chain, and its key: two PEM files."""

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class TlsIdentities:
    """Who we are: the certificate for a client that names nobody we know, others by the name that it asks for (SNI).

    With `client_ca`, a PEM file, a client is refused that has no certificate of that authority.
    """

    default: Certificate
    by_name: Mapping[str, Certificate] = field(default_factory=dict)
    client_ca: Path | None = None


class TlsContexts:
    """What the files of some identities come to: the contexts of one generation.

    `trusted` are the authorities of the servers that we connect to; None: those of the system.
    """

    def __init__(self, identities: TlsIdentities, *, trusted: Path | None = None) -> None:
        """Raises: OSError (`ssl.SSLError` is one) when the files cannot be used."""
        self.accepting: Final = _accepting(identities)
        self.connecting: Final = _connecting(identities.default, trusted)


class TlsSource:
    """Where a listener takes its contexts from; `current` may be replaced at any time."""

    def __init__(self, current: TlsContexts) -> None:
        self.current = current


def check_pair(certificate: Certificate) -> None:
    """Nothing when the files are a pair. Raises: OSError; `ssl.SSLError` when they are not."""
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate)


def _load(context: ssl.SSLContext, certificate: Certificate) -> None:

    def no_password() -> str:
        raise ssl.SSLError("the key is protected by a password")

    context.load_cert_chain(certificate.chain, certificate.key, no_password)


def _accepting(identities: TlsIdentities) -> ssl.SSLContext:
    front = _server_context(identities.default, identities.client_ca)
    named = {name: _server_context(pair, identities.client_ca) for name, pair in identities.by_name.items()}

    def choose(tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        # RFC 6066 §3: names are compared without case. A name that nobody has gets the default certificate.
        if name is not None and (context := named.get(name.lower().rstrip("."))) is not None:
            tls.context = context

    if named:
        front.sni_callback = choose
    return front


def _server_context(pair: Certificate, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _restrict(context)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    _load(context, pair)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
        # A ticket would outlive the authority that vouched for its client.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    else:
        # One is enough for a phone that comes back.
        context.num_tickets = 1
    return context


def _connecting(pair: Certificate, trusted: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=trusted)
    _restrict(context)
    _load(context, pair)
    context.hostname_checks_common_name = False
    return context


def _restrict(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION


class TlsSession:
    """TLS of one connection: bytes of the socket in, bytes of SIP out, and the other way round."""

    __slots__ = ("_in", "_out", "_tls", "ended", "secured")

    def __init__(self, context: ssl.SSLContext, *, domain: str | None = None) -> None:
        """As the server; with `domain` as the client, and that is whom the server must prove to be."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=domain is None, server_hostname=domain)
        self.secured = False
        self.ended = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the other side's certificate proves: alternative names, or else the common name."""
        return certificate_names(self._tls.getpeercert() or {})

    def advance(self, data: bytes) -> None:
        """Go on with the handshake. Raises: ssl.SSLError; what `taken` returns then is the alert."""
        self._in.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.secured = True

    def decrypt(self, data: bytes) -> bytes:
        """What the peer sent. Raises: ssl.SSLError."""
        self._in.write(data)
        pieces = []
        try:
            while piece := self._tls.read(_RECORD):
                pieces.append(piece)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """What goes to the socket for `data`. Raises: ssl.SSLError."""
        self._tls.write(data)
        return self._out.read()

    def shut(self) -> bytes:
        """The notice that we close; empty when there is nobody to tell."""
        with suppress(ssl.SSLError, ValueError):
            self._tls.unwrap()
        return self._out.read()

    def taken(self) -> bytes:
        """What the handshake, a key update or an alert wants to be sent."""
        return self._out.read() if self._out.pending else b""


def certificate_names(certificate: Mapping[str, object]) -> tuple[str, ...]:
    """The names in a decoded certificate: DNS names and URIs, lower case; the common name when it has none."""
    alternative = _pairs(certificate.get("subjectAltName"))
    found = [value for kind, value in alternative if kind in ("DNS", "URI", "IP Address")]
    if not found:
        subject = certificate.get("subject")
        sets = subject if isinstance(subject, tuple) else ()
        found = [value for pairs in sets for kind, value in _pairs(pairs) if kind == "commonName"]
    return tuple(name.lower() for name in found)


def _pairs(value: object) -> list[tuple[str, str]]:
    pairs = value if isinstance(value, tuple) else ()
    return [(str(pair[0]), str(pair[1])) for pair in pairs]


def failure_reason(error: ssl.SSLError) -> str:
    """What OpenSSL says went wrong, as one word; errors that are not its own have none."""
    return str(getattr(error, "reason", "") or "")


def failure_counter(error: ssl.SSLError) -> str:
    """Under which name a failed handshake is counted."""
    reason = failure_reason(error)
    if reason in _OLD_VERSION:
        return "tls_refused_version"
    if reason in _CERTIFICATE:
        return "tls_refused_certificate"
    return "tls_not_tls" if reason in _NOT_TLS else "tls_handshake_failed"


def domain_of(flow: Flow) -> str:
    """Whom the other end of a TLS flow has to prove to be; empty when nobody said."""
    return flow.domain if isinstance(flow, TlsFlow) else ""
