"""DTLS-SRTP (RFC 5764): the handshake of one port, without sockets and clocks of its own.

Datagrams in, datagrams out; at its end there are keys, or a cause why there are none. OpenSSL computes: 0.4 ms for our
part, so whoever calls does it beside the event loop. One certificate and context serve a whole process.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from media.errors import CryptoError
from media.keys import AEAD_128, AEAD_256, AES_CM_32, AES_CM_80, SrtpKeys, Suite

# What fits through any path without fragments, with room for tunnels (RFC 6347 §4.1.1).
MTU: Final = 1200
_RECORD_HEADER: Final = 13
# RFC 5764 §4.2.
_LABEL: Final = b"EXTRACTOR-dtls_srtp"
_PROFILES: Final[dict[bytes, Suite]] = {
    b"SRTP_AEAD_AES_128_GCM": AEAD_128,
    b"SRTP_AEAD_AES_256_GCM": AEAD_256,
    b"SRTP_AES128_CM_SHA1_80": AES_CM_80,
    b"SRTP_AES128_CM_SHA1_32": AES_CM_32,
}
# Not asked of the peer's certificate, whose fingerprint counts (RFC 5763 §6.1); some libraries look all the same.
_NOT_BEFORE, _NOT_AFTER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, tzinfo=UTC)

Role = Literal["client", "server"]
Digests = frozenset[tuple[str, bytes]]


class DtlsContext:
    """Our certificate, made for this process, and what every handshake shares."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voipat")])
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        certificate = builder.not_valid_before(_NOT_BEFORE).not_valid_after(_NOT_AFTER).sign(key, hashes.SHA256())
        self._context = SSL.Context(SSL.DTLS_METHOD)
        self._context.use_certificate(certificate)
        self._context.use_privatekey(key)
        self._context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _anyone)
        self._context.set_tlsext_use_srtp(b":".join(_PROFILES))
        encoded = certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint: Final = hashlib.sha256(encoded).digest()

    def connection(self) -> SSL.Connection:
        """A handshake that has not begun."""
        connection = SSL.Connection(self._context, None)
        connection.set_ciphertext_mtu(MTU)
        return connection


def _anyone(connection: object, certificate: object, error: int, depth: int, ok: int) -> bool:
    """Nobody signs these certificates: the fingerprint is compared instead, before any key is given out."""
    return True


@dataclass(frozen=True, slots=True)
class DtlsStep:
    """What a datagram, the start or a timer caused: datagrams to send, and keys or the cause that there are none.

    `timeout`: seconds until `handle_timeout` is due, None when nothing waits.
    """

    flights: tuple[bytes, ...] = ()
    keys: SrtpKeys | None = None
    failure: str | None = None
    timeout: float | None = None


class DtlsAssociation:
    """Our part of one handshake. `expected`: (hash, digest) of certificates, of which the peer must have one."""

    def __init__(self, context: DtlsContext, role: Role, expected: Digests) -> None:
        self._connection = context.connection()
        self._role = role
        self._expected = expected
        self._is_done = False
        if role == "client":
            self._connection.set_connect_state()
        else:
            self._connection.set_accept_state()

    def start(self) -> DtlsStep:
        """Begin; the client's first flight."""
        return self._advance()

    def receive(self, datagram: bytes) -> DtlsStep:
        """Take a datagram of the peer; whatever it holds, nothing is raised."""
        try:
            self._connection.bio_write(datagram)
        except SSL.Error:
            return DtlsStep(timeout=self._timeout())
        return self._absorb() if self._is_done else self._advance()

    def handle_timeout(self) -> DtlsStep:
        """Send the last flight again when its time has come."""
        if self._is_done:
            return DtlsStep()
        try:
            self._connection.DTLSv1_handle_timeout()
        except SSL.Error:
            return DtlsStep(failure="no answer to our handshake")
        return DtlsStep(self._flights(), timeout=self._timeout())

    def _advance(self) -> DtlsStep:
        try:
            self._connection.do_handshake()
        except (SSL.WantReadError, SSL.SysCallError):
            # OpenSSL calls a datagram that it threw away the end of the stream when nothing follows: there is none.
            return DtlsStep(self._flights(), timeout=self._timeout())
        except SSL.Error as error:
            return DtlsStep(self._flights(), failure=_cause(error))
        self._is_done = True
        try:
            keys = self._export()
        except CryptoError as error:
            return DtlsStep(failure=str(error))
        return DtlsStep(self._flights(), keys)

    def _absorb(self) -> DtlsStep:
        """After the handshake: a peer that has missed our last flight gets it again; alerts end nothing."""
        with suppress(SSL.Error):
            self._connection.recv(MTU)
        return DtlsStep(self._flights())

    def _timeout(self) -> float | None:
        return self._connection.DTLSv1_get_timeout()

    def _flights(self) -> tuple[bytes, ...]:
        """What OpenSSL has written, as datagrams: its buffer has lost their borders, those of the records remain."""
        written = b""
        while True:
            try:
                written += self._connection.bio_read(65536)
            except SSL.Error:
                break
        return tuple(pack_records(written))

    def _export(self) -> SrtpKeys:
        """The keys, once the peer has proven to be who its SDP said. Raises: CryptoError."""
        self._check_peer()
        suite = _PROFILES.get(self._connection.get_selected_srtp_profile())
        if suite is None:
            raise CryptoError("no SRTP profile in common")
        key, salt = suite.key_length, suite.salt_length
        material = self._connection.export_keying_material(_LABEL, 2 * suite.material)
        client_key, server_key = material[:key], material[key : 2 * key]
        client_salt, server_salt = material[2 * key : 2 * key + salt], material[2 * key + salt :]
        client, server = client_key + client_salt, server_key + server_salt
        if self._role == "client":
            return SrtpKeys(suite, send=client, receive=server)
        return SrtpKeys(suite, send=server, receive=client)

    def _check_peer(self) -> None:
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise CryptoError("the peer has no certificate")
        encoded = certificate.public_bytes(serialization.Encoding.DER)
        for algorithm, digest in self._expected:
            if hashlib.new(algorithm.replace("-", ""), encoded).digest() == digest:
                return
        raise CryptoError("the peer's certificate has another fingerprint")


def pack_records(written: bytes) -> list[bytes]:
    """Records of DTLS, as many in a datagram as the MTU lets."""
    datagrams: list[bytes] = []
    at = 0
    while at + _RECORD_HEADER <= len(written):
        end = at + _RECORD_HEADER + int.from_bytes(written[at + 11 : at + 13], "big")
        record = written[at:end]
        if datagrams and len(datagrams[-1]) + len(record) <= MTU:
            datagrams[-1] += record
        else:
            datagrams.append(record)
        at = end
    return datagrams


def _cause(error: SSL.Error) -> str:
    reasons = [str(part[-1]) for part in (error.args[0] if error.args else ()) if isinstance(part, tuple) and part]
    return f"the handshake failed: {', '.join(reasons) or 'no reason given'}"
