"""INVITE without a description: we offer in the 200, the ACK answers (RFC 3261 §13.2.1)."""

from __future__ import annotations

import pytest

from sipcore.events import Event, ResponseReceived
from sipcore.message import Request
from sipcore.offer_answer import LocalMedia, make_answer
from sipcore.sdp import RtpFormat, parse_sdp
from voipat import App, Call, Registrar, events
from voipat.testing import Phone, SimWorld

PCMA = (RtpFormat(8, "PCMA", 8000),)


class OfferlessPhone:
    """Calls without an offer, and answers in its ACK, or does not."""

    def __init__(self, phone: Phone, *, answers: bool) -> None:
        self._phone = phone
        self._answers = answers
        self._offer = b""
        phone.driver._on_event = self._on_event

    def dial(self, uri: str, body: bytes = b"", content_type: str = "") -> None:
        headers = [("To", f"<{uri}>"), ("From", "<sip:eve@elsewhere.test>")]
        headers += [("Content-Type", content_type)] if content_type else []
        endpoint, driver = self._phone.endpoint, self._phone.driver
        request = Request("INVITE", uri, headers, body)
        driver.execute(endpoint.send(endpoint.new_transaction(), request, driver.now(), flow=self._phone._server))

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, ResponseReceived) or event.response.status != 200 or event.dialog is None:
            if getattr(event, "in_dialog", False):
                driver = self._phone.driver
                driver.execute(self._phone.endpoint.respond(event.transaction, 200, driver.now()))  # type: ignore[union-attr]  # a request
            return
        body = b""
        if self._answers:
            offer = parse_sdp(event.response.body)
            body = make_answer(offer, LocalMedia(self._phone.address.host, 4000, PCMA), session_id=1, version=1)[0]
        driver = self._phone.driver
        driver.execute(self._phone.endpoint.ack(event.dialog, driver.now(), body=body))


def make_app(told: list[events.Event]) -> App:
    app = App(registrar=Registrar("example.com", password_of=lambda user: "secret", digest=["MD5"]))
    app.subscribe(told.append)

    @app.on_call("sip:brief@*", public=True)
    async def brief(call: Call) -> None:
        await call.answer()

    @app.on_call("sip:*@*", public=True)
    async def switch(call: Call) -> None:
        winner = await call.dial("sip:bob@example.com")
        await call.bridge(winner)

    return app


@pytest.mark.parametrize(("answers", "ends"), [(True, ("a", "VP-4001", "PCMA")), (False, ("a", "VP-4008", None))])
def test_the_ack_brings_the_answer_or_the_call_ends(answers: bool, ends: tuple[str, str, str | None]) -> None:
    told: list[events.Event] = []
    with SimWorld(make_app(told)) as world:
        OfferlessPhone(world.phone("sip:eve@elsewhere.test"), answers=answers).dial("sip:brief@example.com")
        world.run(until=2.0)
        world.settle()
        (end,) = [event for event in told if isinstance(event, events.CallEnded)]
        assert (end.leg, end.cause.id, end.media.codec) == ends
        assert world.leaks() == []


def test_a_dialled_phone_is_offered_our_codecs_and_the_caller_those_it_took() -> None:
    told: list[events.Event] = []
    with SimWorld(make_app(told)) as world:
        bob = world.phone("sip:bob@example.com", password="secret").register(refresh=False)
        world.run(until=1.0)
        bob.answers(after=0.5, hangs_up_after=3.0)
        OfferlessPhone(world.phone("sip:eve@elsewhere.test"), answers=True).dial("sip:bob@example.com")
        world.run()
        ends = [event for event in told if isinstance(event, events.CallEnded)]
        assert [(end.leg, end.disposition, end.cause.id) for end in ends] == [
            ("b", "answered", "VP-4001"),
            ("a", "answered", "VP-4001"),
        ]
        assert world.leaks() == []


def test_a_body_that_is_no_description_is_415() -> None:
    with SimWorld(make_app([])) as world:
        OfferlessPhone(world.phone("sip:eve@elsewhere.test"), answers=True).dial(
            "sip:x@example.com", b"hi", "text/plain"
        )
        world.run(until=2.0)
        assert "415 Unsupported Media Type" in world.ladder()
