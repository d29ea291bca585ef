"""Certificates for tests: an authority, and pairs that it signed, as PEM files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from sipcore.aio.tls import Certificate

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Authority:
    """Signs what it is asked to; `file` is its own certificate."""

    def __init__(self, directory: Path, name: str = "Test CA") -> None:
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        directory.mkdir(parents=True, exist_ok=True)
        self.file = directory / f"{name.replace(' ', '-').lower()}.pem"
        basic = x509.BasicConstraints(ca=True, path_length=0)
        unsigned = _builder(self._name, self._name, self._key, 365.0).add_extension(basic, critical=True)
        self.file.write_bytes(_pem(unsigned.sign(self._key, hashes.SHA256())))

    def issue(self, *names: str, days: float = 30.0, stem: str = "", is_rsa: bool = False) -> Certificate:
        """A pair for these names or addresses, in files called after the first; written over what is there."""
        key: Key = rsa.generate_private_key(65537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        unsigned = _builder(subject, self._name, key, days).add_extension(_alternative(names), critical=False)
        pair = Certificate(*(self.directory / f"{stem or names[0]}.{kind}.pem" for kind in ("chain", "key")))
        pair.chain.write_bytes(_pem(unsigned.sign(self._key, hashes.SHA256())))
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(_key_pem(key))
        return pair


def serial(chain: Path) -> int:
    """The serial number of the first certificate in a file."""
    return x509.load_pem_x509_certificates(chain.read_bytes())[0].serial_number


def _builder(subject: x509.Name, issuer: x509.Name, key: Key, days: float) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + timedelta(days=days)) - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _alternative(names: Sequence[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in names:
        is_address = name.replace(".", "").isdigit() or ":" in name
        found.append(x509.IPAddress(ip_address(name)) if is_address else x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: Key) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
