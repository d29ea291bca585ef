"""The App: OPTIONS, unknown methods, drain, requests within calls, two in one process, real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import pytest

from media import Engine
from media.stats import Lateness
from sipcore.message import Request
from tests.unit.voipat.test_listeners import ask as ask_real
from voipat import App, Call, Registrar, events, reasons
from voipat.media_watch import MediaWatch
from voipat.testing import Phone, PhoneCall, SimWorld

PASSWORD = "secret"


def make_app(**more: object) -> App:
    app = App(registrar=Registrar("example.com", password_of=lambda user: PASSWORD, digest=["MD5"]), **more)  # type: ignore[arg-type]  # by name

    @app.on_call("*")
    async def switch(call: Call) -> None:
        await call.bridge(await call.dial(call.to.user or ""))

    return app


def phones(world: SimWorld, *users: str, transport: str = "UDP") -> list[Phone]:
    made = [world.phone(f"sip:{user}@example.com", password=PASSWORD, transport=transport) for user in users]
    for phone in made:
        phone.register(refresh=False)
    world.run(until=world.now + 0.5)
    return made


def ask(phone: Phone, method: str, uri: str = "sip:example.com") -> None:
    request = Request(method, uri, [("To", f"<{uri}>"), ("From", "<sip:x@elsewhere.test>")])
    endpoint = phone.endpoint
    phone.driver.execute(endpoint.send(endpoint.new_transaction(), request, phone.driver.now(), flow=phone._server))


def within(call: PhoneCall, method: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> None:
    phone = call.phone
    assert call.dialog is not None
    phone.driver.execute(
        phone.endpoint.send_in_dialog(
            call.dialog, phone.endpoint.new_transaction(), method, phone.driver.now(), headers=headers, body=body
        )
    )


def test_options_says_what_we_take() -> None:
    with SimWorld(make_app()) as world:
        ask(world.phone("sip:x@elsewhere.test"), "OPTIONS")
        world.run(until=1.0)
        assert "200 OK (OPTIONS)" in world.ladder()
        (sent,) = [rung.data for rung in world.network.ladder if b"200 OK" in rung.data]
        assert (
            b"Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, SUBSCRIBE, NOTIFY, " in sent
            and b"REGISTER" in sent
        )
        assert b"Accept: application/sdp" in sent and b"Supported:" in sent


def test_a_known_method_that_is_not_taken_is_405_and_an_unknown_one_501() -> None:
    with SimWorld(make_app()) as world:
        ask(world.phone("sip:x@elsewhere.test"), "NOTIFY")
        ask(world.phone("sip:y@elsewhere.test"), "DANCE")
        world.run(until=1.0)
        assert "405 Method Not Allowed (NOTIFY)" in world.ladder()
        assert "501 Not Implemented (DANCE)" in world.ladder()


@pytest.mark.parametrize(
    ("method", "headers", "response"),
    [
        ("REFER", [("Refer-To", "<sip:carol@example.com>")], "202 Accepted (REFER)"),
        ("REFER", [("Refer-To", "<sip:carol@example.com;method=BYE>")], "603 Decline (REFER)"),
        ("SUBSCRIBE", [("Event", "what")], "489 Bad Event (SUBSCRIBE)"),
        ("NOTIFY", [("Event", "what")], "481 Call/Transaction Does Not Exist (NOTIFY)"),
        ("INFO", [("Info-Package", "dtmf")], "469 Bad Info Package (INFO)"),
        ("OPTIONS", [], "200 OK (OPTIONS)"),
        ("UPDATE", [], "200 OK (UPDATE)"),
        ("INVITE", [], "200 OK (INVITE)"),
        ("MESSAGE", [], "200 OK (MESSAGE)"),
    ],
)
def test_requests_within_a_call(method: str, headers: list[tuple[str, str]], response: str) -> None:
    with SimWorld(make_app()) as world:
        alice, bob = phones(world, "alice", "bob")
        bob.answers(after=0.5)
        call = alice.dial("bob").hangs_up(after=60.0)
        world.run(until=world.now + 2.0)
        before = world.ladder().count(response)
        within(call, method, headers)
        world.run(until=world.now + 1.0)
        assert world.ladder().count(response) > before
        world.run()


def test_info_with_digits_reaches_the_other_phone() -> None:
    with SimWorld(make_app()) as world:
        alice, bob = phones(world, "alice", "bob")
        bob.answers(after=0.5)
        call = alice.dial("bob").hangs_up(after=5.0)
        world.run(until=world.now + 2.0)
        within(call, "INFO", [("Content-Type", "application/dtmf-relay")], b"Signal=5\r\nDuration=100\r\n")
        world.run()
        relayed = [rung.data for rung in world.network.ladder if rung.data.startswith(b"INFO")]
        assert len(relayed) == 2 and b"Signal=5" in relayed[1] and b"dtmf-relay" in relayed[1]


def test_a_broken_description_is_488_and_keeps_no_port() -> None:
    with SimWorld(make_app()) as world:
        alice, bob = phones(world, "alice", "bob")
        bob.answers(after=0.5)
        call = alice.dial("bob").hangs_up(after=30.0)
        world.run(until=world.now + 2.0)
        within(call, "INVITE", [("Content-Type", "application/sdp")], b"this is no description")
        world.run(until=world.now + 1.0)
        assert "488 Not Acceptable Here (INVITE)" in world.ladder()
        world.run()
        assert call.was_answered and world.leaks() == []


def test_drain_refuses_new_calls_lets_others_finish_and_then_hangs_up() -> None:
    app = make_app()
    with SimWorld(app) as world:
        alice, bob, carol = phones(world, "alice", "bob", "carol")
        bob.answers(after=0.5)
        short, long = alice.dial("bob").hangs_up(after=5.0), alice.dial("bob")
        world.run(until=world.now + 2.0)
        draining = world.loop.create_task(app.drain(20.0))
        refused = carol.dial("bob", after=0.1)
        ask(carol, "OPTIONS")
        world.run()
        assert draining.done() and short.ended_by != "peer" and long.ended_by == "peer"
        assert "VP-4007" in long.warning_ids
        assert (refused.status, refused.warning_ids) == (503, ["VP-2001"])
        assert refused.responses[-1].headers.get("Retry-After") == "10"
        assert "503 Service Unavailable (OPTIONS)" in world.ladder()


def test_leaving_the_app_hangs_up_every_call() -> None:
    app = make_app()
    told: list[events.Event] = []
    app.subscribe(told.append)
    with SimWorld(app) as world:
        alice, bob = phones(world, "alice", "bob")
        bob.answers(after=0.5)
        alice.dial("bob")
        world.run(until=world.now + 2.0)
        assert [call.caller for call in app.calls] == ["alice"] and app.find_call(app.calls[0].id) is app.calls[0]
    ends = [event for event in told if isinstance(event, events.CallEnded)]
    assert [(end.leg, end.cause.id) for end in ends] == [("a", "VP-4007"), ("b", "VP-4007")]


def test_an_operator_can_end_a_call() -> None:
    app = make_app()
    with SimWorld(app) as world:
        alice, bob = phones(world, "alice", "bob")
        bob.answers(after=0.5)
        call = alice.dial("bob")
        world.run(until=world.now + 2.0)
        app.calls[0].end("server", reasons.OPERATOR)
        world.run()
        assert "VP-4006" in call.warning_ids and "VP-4006" in bob.received[0].warning_ids


def test_a_listener_that_fails_costs_nobody_anything(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: events.Event) -> None:
        raise ZeroDivisionError

    app = make_app()
    app.subscribe(broken)
    with SimWorld(app) as world:
        alice, bob = phones(world, "alice", "bob")
        bob.answers(after=0.5)
        call = alice.dial("bob").hangs_up(after=1.0)
        world.run()
        assert call.was_answered and app.counters["listener_errors"] > 5


def test_calls_and_registrations_over_tcp() -> None:
    with SimWorld(make_app(listen=["udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"])) as world:
        alice, bob = phones(world, "alice", "bob", transport="TCP")
        bob.answers(after=0.5)
        call = alice.dial("bob").hangs_up(after=2.0)
        world.run()
        assert call.was_answered and world.leaks() == []


def test_no_media_port_left_is_503() -> None:
    app = make_app()
    with SimWorld(app) as world:
        alice, bob = phones(world, "alice", "bob")
        bob.answers(after=0.5)
        taken = [world.engine.open_port("127.0.0.1", ssrc=1, sequence=1, timestamp=1) for _ in range(1999)]
        call = alice.dial("bob")
        world.run(until=world.now + 5.0)
        assert call.status == 503 and call.warning_ids[-1] == "VP-2005"
        for port in taken:
            world.engine.close_port(port)
        world.run(until=world.now + 5.0)  # a port rests before it is given out again
        again = alice.dial("bob").hangs_up(after=2.0)
        world.run()
        assert again.was_answered and world.leaks() == []


def test_bindings_expire_and_are_told() -> None:
    app = make_app()
    told: list[events.Event] = []
    app.subscribe(told.append)
    with SimWorld(app) as world:
        for user, expires in (("alice", 3600), ("bob", 60)):
            world.phone(f"sip:{user}@example.com", password=PASSWORD).register(expires=expires, refresh=False)
        world.run(until=70.0)
        assert [type(event) for event in told] == [events.Registered, events.Registered, events.Unregistered]


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def two_apps() -> list[bytes]:
    """Each answers OPTIONS on its own real socket."""
    answers = []
    loop = asyncio.get_running_loop()
    ports = [free_port(), free_port()]
    apps = [
        App(listen=f"udp://127.0.0.1:{port}", media=f"127.0.0.1:{31000 + 100 * n}-{31098 + 100 * n}")
        for n, port in enumerate(ports)
    ]
    async with apps[0], apps[1]:
        for port in ports:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.setblocking(False)
                probe.bind(("127.0.0.1", 0))
                own = probe.getsockname()[1]
                text = (
                    f"OPTIONS sip:127.0.0.1:{port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{port}\r\n"
                    f"From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: {port}\r\nCSeq: 1 OPTIONS\r\n"
                    "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
                )
                await loop.sock_sendto(probe, text.encode(), ("127.0.0.1", port))
                async with asyncio.timeout(5.0):
                    answers.append(await loop.sock_recv(probe, 4096))
    return answers


def test_two_apps_live_in_one_process_and_close_what_they_opened(nothing_left: None) -> None:
    answers = asyncio.run(two_apps())
    assert [answer.split(b"\r\n")[0] for answer in answers] == [b"SIP/2.0 200 OK"] * 2


async def start_in_vain(app: App) -> None:
    async with app:
        raise AssertionError("it should not have started")


@pytest.mark.parametrize("listen", ["udp://192.0.2.1:5060", "ws://127.0.0.1:5060", "5060"])
def test_a_listener_that_cannot_be_opened_leaves_nothing(listen: str, nothing_left: None) -> None:
    with pytest.raises((OSError, ValueError)):
        asyncio.run(start_in_vain(App(listen=listen, media="127.0.0.1:31200-31298")))


@pytest.mark.parametrize("media", ["127.0.0.1", "127.0.0.1:5-x", "1000-2000"])
def test_media_is_an_address_and_a_range(media: str) -> None:
    with pytest.raises(ValueError):
        App(media=media)


def test_a_given_engine_is_not_closed(nothing_left: None) -> None:
    async def enter() -> None:
        with Engine(port_range=(31300, 31398)) as engine:
            async with App(listen="udp://127.0.0.1:0", engine=engine):
                pass
            engine.close_port(engine.open_port("127.0.0.1", ssrc=1, sequence=1, timestamp=1))

    asyncio.run(enter())


class LateEngine(Engine):
    """Its clock is as late as the test says: in time, or 50 ms at every tick."""

    is_late = False
    _counts = [0] * 9

    @property
    def lateness(self) -> Lateness:
        """200 more ticks each time that it is asked."""
        self._counts = [count + 200 * (at == (7 if self.is_late else 0)) for at, count in enumerate(self._counts)]
        return Lateness(tuple(self._counts))


def test_while_media_ticks_come_late_a_new_call_is_refused_and_then_taken_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(MediaWatch, "INTERVAL_S", 0.05)

    async def scenario() -> list[tuple[int, str]]:
        told: list[events.Event] = []
        answers = []
        with LateEngine(port_range=(31300, 31399)) as engine:
            port = free_port()
            app = App(listen=f"udp://127.0.0.1:{port}", media="127.0.0.1:31300-31399", engine=engine)
            app.subscribe(told.append)

            @app.on_call("*", public=True)
            async def echo(call: Call) -> None:
                await call.echo()

            async with app, asyncio.timeout(10.0):
                for turn, (is_late, kind) in enumerate(
                    [(False, None), (True, events.MediaLate), (False, events.MediaInTime)]
                ):
                    engine.is_late = is_late
                    while kind is not None and not any(type(event) is kind for event in told):
                        await asyncio.sleep(0.01)
                    response = await ask_real("127.0.0.1", port, tag=f"turn{turn}")
                    answers.append((response.status, response.headers.get("Warning") or ""))
        return answers

    first, second, third = asyncio.run(scenario())
    assert first[0] == third[0] == 200
    assert second[0] == 503 and '"VP-2007 ' in second[1]
