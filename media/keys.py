"""SRTP keys of one port (RFC 3711, 7714), and the libsrtp sessions that are made of them.

pylibsrtp makes and frees the sessions; the workers call its libsrtp through the addresses of `library_functions`,
without Python. A session is used by one worker alone: once it is the engine's, nothing here touches it any more.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from pylibsrtp import Policy, Session, _binding
from pylibsrtp._binding import ffi, lib  # type: ignore[import-not-found]  # compiled, without a stub

from media.errors import CryptoError

# Packets that may overtake each other: as far as a sender of ours lets an old one through (VP_LATE_SPAN).
REPLAY_WINDOW: Final = 1024


@dataclass(frozen=True, slots=True)
class Suite:
    """A protection profile under its name in SDP (RFC 4568 §6.2, RFC 7714 §14.2); lengths in octets."""

    name: str
    profile: int
    key_length: int
    salt_length: int
    # What follows the MKI in a packet of RTP and of RTCP: the tag, where it does not belong to the ciphertext.
    tail: int = 0
    rtcp_tail: int = 0

    @property
    def material(self) -> int:
        """Octets of key and salt together."""
        return self.key_length + self.salt_length


AES_CM_80: Final = Suite("AES_CM_128_HMAC_SHA1_80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14, 10, 10)
AES_CM_32: Final = Suite("AES_CM_128_HMAC_SHA1_32", Policy.SRTP_PROFILE_AES128_CM_SHA1_32, 16, 14, 4, 10)
AEAD_128: Final = Suite("AEAD_AES_128_GCM", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12)
AEAD_256: Final = Suite("AEAD_AES_256_GCM", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12)

# In order of preference: GCM costs half of what HMAC-SHA1 does.
SUITES: Final = (AEAD_128, AEAD_256, AES_CM_80, AES_CM_32)


def maybe_suite(name: str) -> Suite | None:
    """The suite of that name."""
    return next((suite for suite in SUITES if suite.name == name), None)


@dataclass(frozen=True, slots=True, repr=False)
class SrtpKeys:
    """Master key and salt of each direction. `mki_length`: octets of an MKI in what is received."""

    suite: Suite
    send: bytes
    receive: bytes
    mki_length: int = 0

    def __post_init__(self) -> None:
        if not len(self.send) == len(self.receive) == self.suite.material:
            raise CryptoError(f"{self.suite.name} takes {self.suite.material} octets of key and salt")

    def __repr__(self) -> str:
        return f"SrtpKeys({self.suite.name})"  # keys are in no log


def _policy(suite: Suite, material: bytes, kind: int, ssrc: int = 0) -> Policy:
    policy = Policy(material, kind, ssrc, suite.profile)
    policy.window_size = REPLAY_WINDOW
    return policy


def send_policy(keys: SrtpKeys, ssrc: int | None) -> Policy:
    """How the stream `ssrc` is sealed; None: each that is sent."""
    if ssrc is None:
        return _policy(keys.suite, keys.send, Policy.SSRC_ANY_OUTBOUND)
    return _policy(keys.suite, keys.send, Policy.SSRC_SPECIFIC, ssrc)


def receive_session(keys: SrtpKeys, ssrc: int = 0) -> Session:
    """A session that opens any stream; `ssrc` has its own place in it, so that its rollover counter can be set."""
    session = Session(_policy(keys.suite, keys.receive, Policy.SSRC_ANY_INBOUND))
    if ssrc:
        session.add_stream(_policy(keys.suite, keys.receive, Policy.SSRC_SPECIFIC, ssrc))
    return session


def session_address(session: Session) -> int:
    """The `srtp_t` of a session."""
    return int(ffi.cast("uintptr_t", session._srtp[0]))


def policy_address(policy: Policy) -> int:
    """The `srtp_policy_t` of a policy."""
    return int(ffi.cast("uintptr_t", policy._policy))


@lru_cache(maxsize=1)
def library_functions() -> tuple[int, ...]:
    """The addresses of libsrtp's functions in the order of vp_srtp_library. Raises: CryptoError."""
    names = ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp")
    symbols = ctypes.CDLL(_binding.__file__)
    try:
        bound = [int(ffi.cast("uintptr_t", ffi.addressof(lib, name))) for name in names]
        # Not in pylibsrtp's binding, but in the library that it carries.
        found = [getattr(symbols, name) for name in ("srtp_get_stream_roc", "srtp_set_stream_roc", "srtp_update")]
    except AttributeError as error:
        raise CryptoError(f"this pylibsrtp does not show what is needed of libsrtp: {error}") from None
    return (*bound, *(ctypes.cast(function, ctypes.c_void_p).value or 0 for function in found))
