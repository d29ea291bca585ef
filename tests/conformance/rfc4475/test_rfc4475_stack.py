"""Each message of RFC 4475 through parser, stream framing and endpoint, without I/O: the reaction of the table."""

from __future__ import annotations

import pytest

from sipcore.errors import ParseError
from sipcore.parser import parse_message
from tests.conformance.rfc4475.harness import in_words, react, react_on_stream
from tests.conformance.rfc4475.messages import MALFORMED, MESSAGES, VECTORS, vector

each_message = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.rfc("4475", case.section)) for name, case in MESSAGES.items()]
)


def test_the_table_has_every_message_of_the_rfc() -> None:
    assert {path.stem for path in VECTORS.glob("*.dat")} == set(MESSAGES)
    assert len(MESSAGES) == 49


@each_message
def test_the_parser_takes_what_is_well_formed_and_nothing_else(name: str) -> None:
    case = MESSAGES[name]
    # 416, 420 and 481 are given to requests that are well formed.
    if case.stack in ("400", "501", "505", MALFORMED):
        with pytest.raises(ParseError):
            parse_message(vector(name))
    else:
        parse_message(vector(name))


@each_message
def test_the_endpoint_reacts_as_the_rfc_says(name: str) -> None:
    assert in_words(react(vector(name))) == MESSAGES[name].stack, MESSAGES[name].quote


@each_message
@pytest.mark.parametrize("segment", [0, 1, 2, 3, 4, 5, 6, 7])
def test_a_stream_gives_the_same_however_it_is_cut(name: str, segment: int) -> None:
    assert react_on_stream(vector(name), segment) == MESSAGES[name].stack_over["TCP"], MESSAGES[name].quote
