"""RFC 5627 §6.1: within a dialog we resolve the GRUUs of our own registrar; a proxy on the way could not."""

from __future__ import annotations

import pytest

from sipcore.flow import Flow
from sipcore.message import Request
from tests.sim.office import Office
from tests.sim.raw_peer import RawPeer
from voipat import Binding

UUID = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


@pytest.mark.parametrize(
    ("gruu", "shown"), [(UUID, "sip:1002@192.168.0.9"), ("urn:uuid:gone", "sip:1002@office.test;gr=urn:uuid:gone")]
)
def test_a_phone_behind_a_proxy_is_asked_at_its_contact_and_not_at_its_gruu(seed: int, gruu: str, shown: str) -> None:
    # Who is not registered any more keeps its GRUU in the Request-URI.
    def answer(request: Request) -> tuple[int, list[tuple[str, str]]]:
        if request.method != "INVITE":
            return 200, []
        route = ("Record-Route", f"<sip:{edge.address};lr>")
        return 200, [("Contact", f"<sip:1002@office.test;gr={gruu}>"), route]

    with Office(seed=seed) as office:
        edge = RawPeer(office.world, "10.9.0.1", answer, name="edge")
        flow = Flow("UDP", office.world.server_address, edge.address)
        path = (f"<sip:{edge.address};lr>",)
        binding = Binding(
            "office.test", "sip:1002@office.test", "sip:1002@192.168.0.9", flow, "c", 1, 4e9,
            path=path, instance=f"<{UUID}>",
        )  # fmt: skip
        assert office.app.registrar is not None
        office.app.registrar.location.update("office.test", binding.aor, (binding,), ())
        call = office.phone(1001).register().dial("1002", after=0.5)
        office.world.run(until=3.0)
        call.hang_up()
        office.world.run()
        assert call.status == 200
        later = [request for request in edge.received if request.method in ("ACK", "BYE")]
        assert {request.method for request in later} == {"ACK", "BYE"}
        for request in later:
            assert request.uri_text == shown
            assert request.headers.get_all("Route") == list(path)
        office.app.registrar.location.update("office.test", binding.aor, (), (binding,))
