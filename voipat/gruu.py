"""RFC 5627: addresses that lead to one device of a user, one that everybody may know and ones that reveal nobody.

A temporary GRUU is sealed and not stored: it says user, device and registration to us and nothing to others, two of the
same phone have nothing in common, and it is void when the phone's registration ends or it registers anew with another
Call-ID (§5.4). The key lives as long as the App; after a restart a phone gets new ones with its next REGISTER.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as BinasciiError
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sipcore.entropy import Entropy
from sipcore.fields import quote
from sipcore.uri import Uri, escape_user
from voipat.location import Binding

PREFIX: Final = "tgruu."
MAX_TEMPORARY: Final = 400
_NONCE: Final = 12
_CALL: Final = 8


class Gruus:
    """Makes and reads the GRUUs of one registrar; `lookup` gives the live bindings of (tenant, user)."""

    def __init__(self, entropy: Entropy, lookup: Callable[[str, str], Sequence[Binding]]) -> None:
        self._entropy = entropy
        self._lookup = lookup
        self._aead = AESGCM(entropy.bytes(16))

    def params(self, binding: Binding) -> str:
        """The parameters of a binding in a 200 to REGISTER; none for a phone that has no instance id."""
        if not binding.instance:
            return ""
        user = binding.aor.partition(":")[2].rpartition("@")[0]
        public = Uri("sip", escape_user(user), binding.tenant, params={"gr": _urn(binding.instance)})
        temporary = Uri("sip", self._seal(user, binding), binding.tenant, params={"gr": None})
        return f";pub-gruu={quote(str(public))};temp-gruu={quote(str(temporary))}"

    def resolve(self, tenant: str, uri: Uri) -> tuple[str, str] | None:
        """(user, instance) that a URI of this tenant names; None when it is no GRUU, or a void one."""
        if "gr" not in uri.params:
            return None
        value = uri.params["gr"]
        if value:
            return uri.user or "", f"<{value}>"
        return self._open(tenant, uri.user or "")

    def _seal(self, user: str, binding: Binding) -> str:
        nonce = self._entropy.bytes(_NONCE)
        plain = _call_of(binding) + f"{user}\0{binding.instance}".encode("utf-8", "surrogateescape")
        sealed = self._aead.encrypt(nonce, plain, binding.tenant.encode())
        return PREFIX + urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()

    def _open(self, tenant: str, text: str) -> tuple[str, str] | None:
        if not text.startswith(PREFIX) or len(text) > MAX_TEMPORARY:
            return None
        body = text.removeprefix(PREFIX)
        try:
            data = urlsafe_b64decode(body + "=" * (-len(body) % 4))
            plain = self._aead.decrypt(data[:_NONCE], data[_NONCE:], tenant.encode())
        except (InvalidTag, BinasciiError, ValueError):
            return None
        user, _, instance = plain[_CALL:].decode("utf-8", "surrogateescape").partition("\0")
        valid = any(
            binding.instance == instance and _call_of(binding) == plain[:_CALL]
            for binding in self._lookup(tenant, user)
        )
        return (user, instance) if valid else None


def device_of(uri: Uri) -> str | None:
    """The instance id that a public GRUU names, as bindings have it; None when the URI means every device."""
    value = uri.params.get("gr")
    return f"<{value}>" if value else None


def _urn(instance: str) -> str:
    return instance.removeprefix("<").removesuffix(">")


def _call_of(binding: Binding) -> bytes:
    return sha256(binding.call_id.encode("utf-8", "surrogateescape")).digest()[:_CALL]
