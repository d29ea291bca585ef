"""RFC 3327 §5.3–5.4: the Path of a registration is kept, told, and followed."""

from __future__ import annotations

import pytest

from sipcore.flow import Address, Flow
from sipcore.message import Request
from tests.sim.office import Office
from tests.sim.raw_peer import RawPeer
from voipat import Binding
from voipat.accounts import Identity
from voipat.registrar import MAX_PATH, Registrar

PATHS = ("<sip:P2.visited.test;lr>", "<sip:P1.home.test;lr>")


def register(registrar: Registrar, *paths: str) -> list[tuple[str, str]]:
    lines = [
        ("To", "<sip:alice@example.com>"), ("From", "<sip:alice@example.com>;tag=1"), ("Call-ID", "c"),
        ("CSeq", "1 REGISTER"), ("Contact", "<sip:alice@10.0.0.1>"), ("Supported", "path"),
        *(("Path", path) for path in paths),
    ]  # fmt: skip
    flow = Flow("UDP", Address("192.0.2.1", 5060), Address("198.51.100.7", 5060))
    return registrar.register(Request("REGISTER", "sip:example.com", lines), flow, Identity("example.com", "alice"))[1]


def made() -> Registrar:
    registrar = Registrar("example.com", password_of=lambda user: "secret")
    registrar.start(lambda: 1000.0, lambda event: None)
    return registrar


@pytest.mark.rfc("3327", "5.3")
def test_the_path_is_stored_with_the_binding_and_copied_into_the_200() -> None:
    # "the registrar [...] stores the contents of the Path header field in that binding"; "copies [them] into a Path
    # header field in the successful (200 OK) REGISTER response".
    registrar = made()
    headers = register(registrar, *PATHS)
    assert [value for name, value in headers if name == "Path"] == list(PATHS)
    assert registrar.lookup("example.com", "alice")[0].path == PATHS


def test_a_path_has_a_limit() -> None:
    registrar = made()
    register(registrar, *(f"<sip:p{n}.test;lr>" for n in range(50)))
    assert len(registrar.lookup("example.com", "alice")[0].path) == MAX_PATH


@pytest.mark.rfc(
    "3261",
    "8.1.1.1",
    "… set is present, the procedures for populating the Request-URI and Route header field detailed in Section "
    "12.2.1.1 MUST be followed (even though there is no dialog), using the desired Request-URI as the remote target "
    "URI.",
)
@pytest.mark.rfc("3327", "5.4")
def test_a_call_goes_by_the_path_as_its_route_and_to_the_contact_as_its_request_uri(seed: int) -> None:
    # "the proxy [...] uses the Path vector as a preloaded Route".
    with Office(seed=seed) as office:
        edge = RawPeer(office.world, "10.9.0.1", lambda request: (486, []), name="edge")
        flow = Flow("UDP", office.world.server_address, edge.address)
        binding = Binding("office.test", "sip:1002@office.test", "sip:1002@192.168.0.9", flow, "c", 1, 4e9, path=PATHS)
        assert office.app.registrar is not None
        office.app.registrar.location.update("office.test", binding.aor, (binding,), ())
        call = office.phone(1001).register().dial("1002", after=0.5)
        office.world.run()
        assert call.status == 486
        invite = edge.received[0]
        assert tuple(invite.headers.get_all("Route")) == PATHS and invite.uri_text == "sip:1002@192.168.0.9"
        office.app.registrar.location.update("office.test", binding.aor, (), (binding,))
