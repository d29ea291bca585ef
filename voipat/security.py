"""How secret a leg's media is to be, and what our side of it brings: keys, and the certificate of this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from media import SUITES, maybe_suite
from media.dtls import DtlsContext
from sipcore.entropy import Entropy
from sipcore.sdp_security import CryptoSuite, Fingerprint, LocalSecurity, SrtpPolicy

_ALL: Final = tuple(suite.name for suite in SUITES)
_SUITES: Final = {suite.name: CryptoSuite(suite.name, suite.material) for suite in SUITES}


@dataclass(frozen=True, slots=True)
class SrtpRules:
    """The rules of one phone or trunk.

    `sdes_over_plain`: keys in SDP are taken and given over signalling without TLS, where anyone on the path reads them.
    `exchange`: how our own offers bring keys; an offer of the other side is answered in its own way. `suites`: which
    SDES suites may be used, by their names in SDP and in order of preference; none named are all, AEAD before AES_CM.
    """

    policy: SrtpPolicy = SrtpPolicy.OPTIONAL
    sdes_over_plain: bool = False
    exchange: Literal["sdes", "dtls"] = "sdes"
    suites: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := [name for name in self.suites if maybe_suite(name) is None]:
            raise ValueError(f"{unknown[0]} is no suite of ours: {', '.join(suite.name for suite in SUITES)}")


class SecurityMaker:
    """Makes what each leg can do; one certificate for all of them, made when it is first needed."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._context: DtlsContext | None = None

    @property
    def context(self) -> DtlsContext:
        """The certificate and what goes with it."""
        if self._context is None:
            self._context = DtlsContext()
        return self._context

    def make(self, rules: SrtpRules, *, is_secure: bool) -> LocalSecurity:
        """For one leg, whose signalling is over TLS when `is_secure`; its keys are used for nothing else."""
        if rules.policy is SrtpPolicy.OFF:
            return LocalSecurity()
        sdes = is_secure or rules.sdes_over_plain
        suites = [_SUITES[name] for name in rules.suites or _ALL] if sdes else []
        keys = tuple((suite, self._entropy.bytes(suite.material)) for suite in suites)
        fingerprint = Fingerprint("sha-256", self.context.fingerprint)
        return LocalSecurity(rules.policy, keys, sdes, fingerprint, rules.exchange)
