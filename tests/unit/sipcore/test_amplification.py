"""A stranger's datagram may have a forged source: it gets three times its bytes at the most."""

from __future__ import annotations

import pytest

from sipcore.endpoint import Verdict
from sipcore.flow import Flow
from sipcore.message import Request
from sipcore.state import Refuse
from tests.endpoints import Side, request_bytes


def challenges(size: int) -> Side:
    """It refuses everything with a header of so many bytes."""

    def gate(request: Request, flow: Flow, now: float) -> Verdict:
        return Refuse(401, None, (("WWW-Authenticate", "x" * size),))

    return Side(gate=gate)


@pytest.mark.parametrize("size", [10, 300])
def test_an_answer_of_ordinary_length_is_sent(size: int) -> None:
    side = challenges(size)
    request = request_bytes("OPTIONS")
    side.receive(request)
    assert len(side.sent[-1].data) <= 3 * len(request) and side.labels() == ["401 OPTIONS"]


def test_one_that_is_longer_than_three_requests_is_not() -> None:
    side = challenges(2000)
    side.receive(request_bytes("OPTIONS"))
    assert side.labels() == [] and side.endpoint.counters["answers_too_long"] == 1


def test_over_a_connection_every_answer_is_sent() -> None:
    side = Side(transport="TCP", gate=lambda request, flow, now: Refuse(401, None, (("WWW-Authenticate", "x" * 2000),)))
    side.receive(request_bytes("OPTIONS"))
    assert side.labels() == ["401 OPTIONS"]
