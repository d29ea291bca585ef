"""Digest's arithmetic (RFC 7616 §3.4) and the nonces of a server: what every request with credentials asks.

What it means is told in `sipcore.auth`. MD5 and the keyed hash are our own C: through `hashlib` one of a hundred octets
takes three times as long, and each is a text made and encoded before.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.stdint cimport uint8_t, uint64_t

from _operator import _compare_digest as compare_digest
from collections import OrderedDict
from hashlib import sha256

cdef extern from "Python.h":
    int PyUnicode_IS_COMPACT_ASCII(object text)
    void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef extern from "md5.h":
    enum: LD_MD5_HEX
    ctypedef struct ld_md5:
        pass
    void ld_md5_open(ld_md5* sum)
    void ld_md5_add(ld_md5* sum, const char* octets, size_t length)
    void ld_md5_hex(ld_md5* sum, char* hex)

cdef extern from "blake2s.h":
    enum: SIP_BLAKE2S_KEY
    ctypedef struct sip_blake2s:
        pass
    void sip_blake2s_open(sip_blake2s* sum, const uint8_t* key, size_t size)
    void sip_blake2s_add(sip_blake2s* sum, const void* octets, size_t length)
    void sip_blake2s_hex(sip_blake2s* sum, char* hex)

cdef enum:
    STAMP = 24  # hexadecimal digits: 6 octets of time, 6 of a counter
    SEAL_SIZE = 12  # octets of keyed hash
    NONCE = 48
    LONGEST_SEAL = 32

cdef uint64_t MASK = 0xFFFFFFFFFFFF
cdef long long USED_UP = 1LL << 32  # above every nc

# Token in lower case → (name in the registry, name of the hash, session variant).
KINDS = {
    "md5": ("MD5", "MD5", False),
    "sha-256": ("SHA-256", "SHA-256", False),
    "md5-sess": ("MD5-sess", "MD5", True),
    "sha-256-sess": ("SHA-256-sess", "SHA-256", True),
}
# Stands in for the HA1 of an unknown user, so that the work is the same; hashes have no such character.
cdef dict NOBODY = {"MD5": "-" * 32, "SHA-256": "-" * 64}


cdef inline object octets_of(str text, const char** at, Py_ssize_t* length):
    """Where the octets of `text` are, for as long as what is returned lives."""
    cdef bytes raw
    if PyUnicode_IS_COMPACT_ASCII(text):
        at[0] = <const char*>PyUnicode_DATA(text)
        length[0] = PyUnicode_GET_LENGTH(text)
        return text
    raw = text.encode("utf-8", "surrogateescape")
    at[0] = PyBytes_AS_STRING(raw)
    length[0] = PyBytes_GET_SIZE(raw)
    return raw


cdef str joined_md5(tuple texts):
    """MD5 of the texts with colons between them, in hexadecimal."""
    cdef ld_md5 sum
    cdef char digits[LD_MD5_HEX + 1]
    cdef const char* at
    cdef Py_ssize_t length, i
    ld_md5_open(&sum)
    for i in range(len(texts)):
        owner = octets_of(<str?>texts[i], &at, &length)
        if i:
            ld_md5_add(&sum, b":", 1)
        ld_md5_add(&sum, at, length)
    ld_md5_hex(&sum, digits)
    return PyUnicode_DecodeASCII(digits, LD_MD5_HEX, NULL)


def joined_hash(str base not None, tuple texts not None):
    """H of the texts joined by colons, in hexadecimal; `base` is "MD5" or "SHA-256"."""
    if base == "MD5":
        return joined_md5(texts)
    return sha256(":".join(texts).encode("utf-8", "surrogateescape")).hexdigest()


def sealed(bytes key not None, tuple texts not None, Py_ssize_t size):
    """BLAKE2s (RFC 7693) with a key of 32 octets of the texts joined by zeros: `size` octets in hexadecimal."""
    cdef sip_blake2s sum
    cdef char digits[2 * LONGEST_SEAL]
    cdef const char* at
    cdef Py_ssize_t length, i
    if PyBytes_GET_SIZE(key) != SIP_BLAKE2S_KEY or not 0 < size <= LONGEST_SEAL:
        raise ValueError("a key of 32 octets, and 1 to 32 octets to make")
    sip_blake2s_open(&sum, <const uint8_t*>PyBytes_AS_STRING(key), size)
    for i in range(len(texts)):
        owner = octets_of(<str?>texts[i], &at, &length)
        if i:
            sip_blake2s_add(&sum, b"\0", 1)
        sip_blake2s_add(&sum, at, length)
    sip_blake2s_hex(&sum, digits)
    return PyUnicode_DecodeASCII(digits, 2 * size, NULL)


def right_response(dict params not None, str method not None, ha1, algorithms):
    """The algorithm's name when `response` is right (RFC 7616 §3.4.1; RFC 2617 without qop), else None."""
    cdef tuple kind = (<dict>KINDS).get(params.get("algorithm", "MD5").lower())
    if kind is None or kind[0] not in algorithms:
        return None
    base = kind[1]
    stored = ha1(params.get("username", ""), base)
    secret, qop, nonce = stored or NOBODY[base], params.get("qop", "").lower(), params.get("nonce", "")
    cnonce = params.get("cnonce", "")
    if kind[2]:
        secret = joined_hash(base, (secret, nonce, cnonce))
    ha2 = joined_hash(base, (method, params.get("uri", "")))
    if qop == "auth":
        expected = joined_hash(base, (secret, nonce, params.get("nc", ""), cnonce, "auth", ha2))
    elif not qop and base == "MD5":
        # RFC 2617 §3.2.2.1: a client of RFC 2069 sends no qop; such a nonce is good for one request.
        expected = joined_md5((secret, nonce, ha2))
    else:
        return None
    response = params.get("response", "").lower().encode("utf-8", "surrogateescape")
    return kind[0] if compare_digest(response, expected.encode()) and stored else None


cdef long long count_of(dict params) except -1:
    cdef str count
    if not params.get("qop"):
        return USED_UP
    count = params.get("nc", "")
    try:
        return max(int(count, 16), 0) if len(count) == 8 else 0
    except ValueError:
        return 0


cdef class Nonces:
    """Those that one server makes, which says in each when and for whom, and those that were used."""

    cdef bytes _key
    cdef uint64_t _epoch_ms
    cdef uint64_t _counter
    cdef double _lifetime
    cdef Py_ssize_t _most
    # Nonce → (highest nc, issued), in order of first use.
    cdef object _used
    # Nonces issued up to here may have been used, we no longer know.
    cdef double _forgotten

    def __init__(self, bytes key not None, uint64_t epoch_ms, uint64_t counter, double lifetime, Py_ssize_t most):
        self._key, self._epoch_ms, self._counter = key, epoch_ms, counter
        self._lifetime, self._most = lifetime, most
        self._used = OrderedDict()
        self._forgotten = float("-inf")

    def __len__(self):
        return len(self._used)

    def __contains__(self, nonce):
        return nonce in self._used

    def new(self, str realm not None, str source not None, double now):
        """One for a challenge of this realm to this source."""
        self._counter += 1
        cdef uint64_t at = (<uint64_t><long long>(now * 1000) + self._epoch_ms) & MASK
        head = f"{at:012x}{self._counter & MASK:012x}"
        return head + sealed(self._key, (head, source, realm), SEAL_SIZE)

    def issued(self, str nonce not None, str realm not None, str source not None):
        """When we made this nonce for this realm and source; None when we did not."""
        if len(nonce) != NONCE or not nonce.isascii():
            return None
        head = nonce[:STAMP]
        if not compare_digest(nonce[STAMP:], sealed(self._key, (head, source, realm), SEAL_SIZE)):
            return None
        return (int(head[:12], 16) - <long long>self._epoch_ms) / 1000.0

    def use(self, dict params not None, double issued, double now):
        """Whether the credentials use their nonce in time and, by `nc`, for the first time.

        RFC 7616 §5.12: `nc` rises strictly, or the request is a replay.
        """
        cdef str nonce = params["nonce"]
        cdef long long count = count_of(params)
        if now - issued > self._lifetime:
            return False
        used = self._used.get(nonce)
        if used is not None:
            if count <= <long long>used[0]:
                return False
        elif count <= 0 or issued <= self._forgotten:
            return False
        else:
            self.forget(now)
        self._used[nonce] = (count, issued)
        return True

    cdef object forget(self, double now):
        cdef double oldest = now - self._lifetime, issued
        while self._used:
            nonce = next(iter(self._used))
            issued = self._used[nonce][1]
            if issued >= oldest:
                if len(self._used) < self._most:
                    return
                self._forgotten = max(self._forgotten, issued)
            del self._used[nonce]
