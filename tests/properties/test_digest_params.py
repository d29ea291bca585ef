"""The native reader of plain digest parameters says what the tolerant one says, or leaves the text to it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sipcore import auth
from sipcore._sipfields import digest_params

NAMES = ["realm", "Nonce", "a-b.c!", "x", "opaque="]
MARKS = ["=", '"', ",", ", ", " ", "\t", "\\", "\n", "\r", "\x85", "\x1f", "\udc80", ";", "é", "=v"]
WHOLE = ['"x y"', 'uri="sip:a,b@c"', "qop=auth", "nc=00000001", 'response=""']
PIECES = st.sampled_from([*NAMES, *MARKS, *WHOLE])


def tolerant(text: str) -> dict[str, str] | None:
    found = auth._PARAMETER.findall(text)
    params = {name.lower(): auth._unquote(q) if "\\" in q else (q or token) for name, q, token in found}
    return params if len(params) == len(found) else None


@given(st.lists(PIECES, max_size=14).map("".join))
def test_plain_parameters_are_read_alike(text: str) -> None:
    plain = digest_params(text, 0)
    assert plain is None or plain == tolerant(text)


def test_what_phones_write_is_plain() -> None:
    value = (
        'Digest username="a", realm="x.y", nonce="0f",uri="sip:x.y;transport=tcp", response="ab", algorithm=MD5, nc=01'
    )
    plain = digest_params(value, 7)
    assert plain == tolerant(value[7:]) and plain is not None and len(plain) == 7
