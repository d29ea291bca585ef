"""RFC 6086: INFO packages that nobody agreed on."""

from __future__ import annotations

import pytest

from tests.sim.office import Office


@pytest.mark.rfc(
    "6086",
    "4.2.2",
    "If a UA receives an INFO request associated with an Info Package that the UA has not indicated willingness to "
    "receive, the UA MUST send a 469 (Bad Info Package) response …, which contains a Recv-Info header field with "
    "Info Packages for which the UA is willing to receive INFO requests.",
)
def test_an_unknown_package_is_469_with_recv_info(seed: int) -> None:
    with Office(seed=seed) as office:
        alice, bob = office.phones(2)
        bob.answers(after=1.0)
        call = alice.dial("1002")
        office.world.run(until=office.world.now + 3.0)
        statuses: list[int] = []
        assert call.dialog is not None
        alice.request_in(call.dialog, "INFO", statuses.append, headers=(("Info-Package", "nobodys"),))
        office.world.run(until=office.world.now + 1.0)
        assert statuses == [469]
        (refused,) = [rung.data for rung in office.world.network.ladder if rung.data.startswith(b"SIP/2.0 469")]
        assert b"\r\nRecv-Info:" in refused
        call.hang_up()
        office.world.run()
