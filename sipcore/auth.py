"""HTTP digest in both roles: RFC 3261 §22, RFC 7616, RFC 8760, and RFC 2617/2069 for old phones.

Server invariants. A challenge makes no state: the nonce says when and, by a keyed hash, for whom it was made.
A nonce is remembered only once it has authenticated, with the highest `nc` seen; what the bounded table has to
forget becomes stale, so that no replay is let in. Only a request whose nonce is ours is compared with a password:
`Wrong` therefore proves that the source reads what we send to it, and a made-up nonce tells nothing about passwords.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from sipcore._digest import KINDS, Nonces, joined_hash, right_response
from sipcore._sipfields import digest_params
from sipcore.errors import RemoteProtocolError
from sipcore.values import value_object

if TYPE_CHECKING:
    from sipcore.entropy import Entropy
    from sipcore.message import Response

ALGORITHMS: Final = ("SHA-256", "MD5", "SHA-256-sess", "MD5-sess")

# More credentials than a chain of proxies needs would only make us count hashes for a stranger.
MAX_CREDENTIALS: Final = 4
_CHALLENGES: Final = ("WWW-Authenticate", "Proxy-Authenticate")

# Anchored at a comma and possessive throughout: linear in the length of whatever comes.
_PARAMETER = re.compile(r"""(?:\A|,)\s*+([\w.!%*+`'~-]++)\s*+=\s*+(?:"((?:[^"\\]++|\\.)*+)"|([^\s,"]*+))""", re.S)
_SCHEME = re.compile(r"\s*+digest\s++", re.I)
_ADDRESS = re.compile(r"[0-9.]{7,15}|\[[0-9a-f:.]{2,45}\]", re.I)
_USER_HOST = re.compile(r"sips?:(?:([^@]*+)@)?(\[[^\]]*+\]|[^:;?\[\]@]*+)", re.I)


class DigestRequest(Protocol):
    """What digest needs of a request."""

    @property
    def method(self) -> str: ...
    @property
    def uri_text(self) -> str: ...


@value_object(frozen=True, slots=True)
class Verified:
    """The password of `username` was used, now and for this request."""

    username: str
    algorithm: str


@value_object(frozen=True, slots=True)
class Missing:
    """No credentials for this realm: challenge."""


@value_object(frozen=True, slots=True)
class Stale:
    """The nonce is too old, was used with this `nc`, or is not ours: challenge with `stale=true`."""


@value_object(frozen=True, slots=True)
class Wrong:
    """Unknown user or wrong password, given with a nonce that we made for this source."""

    username: str


Verdict = Verified | Missing | Stale | Wrong


def ha1(username: str, realm: str, password: str, algorithm: str) -> str:
    """H(username:realm:password), which is what a store keeps. The -sess variants share it with their base."""
    return joined_hash(KINDS[algorithm.lower()][1], (username, realm, password))


class DigestServer:
    """Challenges and verifies. One per process: the key is fresh for each, because `now` starts anew with it.

    Nonces and hashes are native (`ext/siptext/_digest.pyx`).
    """

    def __init__(
        self, secret: bytes, entropy: Entropy, *, nonce_lifetime: float = 300.0, max_nonces: int = 100_000
    ) -> None:
        key = hashlib.blake2b(secret + entropy.bytes(32), digest_size=32).digest()
        # Random starts: neither the uptime nor the number of challenges is anybody's business.
        epoch_ms, counter = entropy.uint32(), entropy.uint32()
        self._nonces = Nonces(key, epoch_ms, counter, nonce_lifetime, max_nonces)
        self._lifetime = nonce_lifetime

    @property
    def nonces(self) -> int:
        """How many nonces are remembered."""
        return len(self._nonces)

    def challenge(
        self,
        realm: str,
        algorithms: Sequence[str],
        now: float,
        *,
        source: str,
        stale: bool = False,
        proxy: bool = False,
    ) -> tuple[tuple[str, str], ...]:
        """The header fields of a 401 (or 407): one challenge per algorithm, in the order given (RFC 8760 §2.3).

        `source` is the host that the credentials must come from, without the port: a NAT may change that.
        """
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        nonce = self._nonces.new(realm, source, now)
        fields: tuple[tuple[str, str], ...] = ()
        for before, after in _challenges(realm, tuple(algorithms), stale):
            fields += ((name, before + nonce + after),)  # one or two
        return fields

    def verify(
        self,
        request: DigestRequest,
        credentials: Sequence[str],
        *,
        realm: str,
        ha1: Callable[[str, str], str | None],
        now: float,
        source: str,
        algorithms: Sequence[str] = ALGORITHMS,
    ) -> Verdict:
        """Judge the values of Authorization (or Proxy-Authorization).

        `ha1(username, algorithm)` with "MD5" or "SHA-256" gives the stored hash, None for an unknown user or one
        who may not use that algorithm. `algorithms` is what the challenge offered.
        """
        verdict: Verdict = _MISSING
        for value in credentials[:MAX_CREDENTIALS]:
            plain = digest_params(value, 7) if value.startswith("Digest ") else None
            params = plain or parse_digest(value)
            if params is None or params.get("realm") != realm:
                continue
            issued = self._nonces.issued(params.get("nonce", ""), realm, source)
            if issued is None:
                verdict = _STALE
                continue
            name = right_response(params, request.method, ha1, algorithms)
            uri = params.get("uri", "")
            if name is None or (uri != request.uri_text and not _same_target(uri, request.uri_text)):
                verdict = Wrong(params.get("username", ""))
            elif self._nonces.use(params, issued, now):
                return Verified(params.get("username", ""), name)
            else:
                verdict = _STALE
        return verdict

    def issued(self, credentials: Sequence[str], realm: str, source: str, now: float) -> bool:
        """Whether credentials answer a challenge of ours to this source that is still good; cheaper than `verify`."""
        for value in credentials[:MAX_CREDENTIALS]:
            params = parse_digest(value)
            if params is None or params.get("realm") != realm:
                continue
            at = self._nonces.issued(params.get("nonce", ""), realm, source)
            if at is not None and now - at <= self._lifetime:
                return True
        return False

    def was_used(self, credentials: Sequence[str]) -> bool:
        """Whether somebody was let in before with a nonce that these name: they are kept, and answer no challenge."""
        parsed = (parse_digest(value) for value in credentials[:MAX_CREDENTIALS])
        return any(params is not None and params.get("nonce") in self._nonces for params in parsed)

    def made(self, nonce: str, realm: str, source: str) -> bool:
        """Whether this nonce is one of ours for that realm and source, good still or not."""
        return self._nonces.issued(nonce, realm, source) is not None


@lru_cache(maxsize=1024)
def _challenges(realm: str, algorithms: tuple[str, ...], stale: bool) -> tuple[tuple[str, str], ...]:
    """For each algorithm what a challenge says before its nonce, and after it."""
    before = f'Digest realm="{_quote(realm)}", nonce="'
    tail = ', qop="auth", stale=true' if stale else ', qop="auth"'
    return tuple((before, f'", algorithm={KINDS[each.lower()][0]}{tail}') for each in algorithms)


_MISSING: Final = Missing()
_STALE: Final = Stale()


def parse_digest(value: str) -> dict[str, str] | None:
    """The parameters of a Digest challenge or credentials, names in lower case; None when it is something else.

    RFC 3261 §20.7: the comma does not separate header values here. A parameter given twice is refused: two readers
    would choose differently.
    """
    scheme = _SCHEME.match(value)
    if scheme is None:
        return None
    plain = digest_params(value, scheme.end())
    if plain is not None:
        return plain
    found = _PARAMETER.findall(value[scheme.end() :])
    params = {name.lower(): _unquote(quoted) if "\\" in quoted else (quoted or token) for name, quoted, token in found}
    return params if len(params) == len(found) else None


def _same_target(uri: str, request_uri: str) -> bool:
    """Whether a digest-uri that is written otherwise names what is asked for.

    Tolerant as RFC 7616 §3.4.6 allows: phones drop or add the port, `transport` and other parameters. sipp (3.6.1)
    names in every request the address of the server that it talks to; who does so gives up the protection of the
    target, for its own requests only.
    """
    ours, theirs = _USER_HOST.match(request_uri), _USER_HOST.match(uri)
    if ours is None or theirs is None:
        return False
    if theirs[1] is None and _ADDRESS.fullmatch(theirs[2]):
        return True
    return ours[1] == theirs[1] and ours[2].lower() == theirs[2].lower()


def _quote(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.S)


def answer_challenge(  # noqa: PLR0913  # one argument per field of the header
    challenges: Sequence[tuple[str, str]],
    *,
    method: str,
    uri: str,
    username: str,
    password: str | None = None,
    ha1s: Mapping[str, str] | None = None,
    cnonce: str,
    nc: int,
    body: bytes = b"",
    realm: str | None = None,
) -> tuple[str, str]:
    """The credentials header (name, value) for the challenges of a 401 or 407.

    `challenges` are (name, value) pairs in message order; the first one that we can answer is taken (RFC 8760 §2.4).
    `ha1s` maps "MD5" and "SHA-256" to a stored HA1 instead of the password. `realm` pins the realm: a stranger's
    challenge must not get our digest. Raises: RemoteProtocolError when none can be answered.
    """
    for name, value in challenges:
        params = parse_digest(value)
        if params is None or (realm is not None and params.get("realm") != realm):
            continue
        kind = KINDS.get(params.get("algorithm", "MD5").lower())
        qop = _choose_qop(params.get("qop"))
        if kind is None or qop is None or "nonce" not in params:
            continue
        stored = _stored(kind[1], username, params.get("realm", ""), password, ha1s)
        if stored is None:
            continue
        header = "Proxy-Authorization" if name.lower() == "proxy-authenticate" else "Authorization"
        exchange = _Exchange(method, uri, username, cnonce, f"{nc:08x}", qop, body)
        return header, _credentials(params, kind, stored, exchange)
    raise RemoteProtocolError("no digest challenge that we can answer", status_hint=403)


def challenges_of(response: Response) -> list[tuple[str, str]]:
    """What a 401 or 407 asks for: name and value of each challenge."""
    return [(name, value) for name in _CHALLENGES for value in response.headers.get_all(name)]


def is_stale(challenges: Sequence[tuple[str, str]]) -> bool:
    """Whether one of the challenges, (name, value), wants the same credentials, with its new nonce (RFC 7616 §3.3)."""
    parsed = (parse_digest(value) for _, value in challenges)
    return any(params is not None and params.get("stale", "").lower() == "true" for params in parsed)


@value_object(frozen=True, slots=True)
class _Exchange:
    method: str
    uri: str
    username: str
    cnonce: str
    nc: str
    qop: str
    body: bytes


def _choose_qop(offered: str | None) -> str | None:
    if not offered:
        return ""
    tokens = {token.strip().lower() for token in offered.split(",")}
    return next((qop for qop in ("auth", "auth-int") if qop in tokens), None)


def _stored(
    base: str,
    username: str,
    realm: str,
    password: str | None,
    ha1s: Mapping[str, str] | None,
) -> str | None:
    if ha1s is not None:
        return ha1s.get(base)
    return None if password is None else joined_hash(base, (username, realm, password))


def _credentials(params: dict[str, str], kind: tuple[str, str, bool], secret: str, exchange: _Exchange) -> str:
    name, base, session = kind
    nonce, cnonce, qop = params["nonce"], exchange.cnonce, exchange.qop
    if session:
        secret = joined_hash(base, (secret, nonce, cnonce))
    a2: tuple[str, ...] = (exchange.method, exchange.uri)
    if qop == "auth-int":
        a2 += (joined_hash(base, (exchange.body.decode("utf-8", "surrogateescape"),)),)
    middle = (nonce, exchange.nc, cnonce, qop) if qop else (nonce,)
    response = joined_hash(base, (secret, *middle, joined_hash(base, a2)))
    value = (
        f'Digest username="{_quote(exchange.username)}", realm="{_quote(params.get("realm", ""))}", '
        f'nonce="{_quote(nonce)}", uri="{exchange.uri}", response="{response}"'
    )
    # RFC 2617 §3.2.1: no algorithm means MD5, and a server of that age may choke on the word.
    if "algorithm" in params:
        value += f", algorithm={name}"
    if qop:
        value += f', cnonce="{cnonce}", qop={qop}, nc={exchange.nc}'
    elif session:
        value += f', cnonce="{cnonce}"'
    if "opaque" in params:
        value += f', opaque="{_quote(params["opaque"])}"'
    return value
