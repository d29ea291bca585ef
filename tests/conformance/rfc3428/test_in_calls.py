"""RFC 3428: messages within a call, and those of a program."""

from __future__ import annotations

import pytest

from tests.unit.voipat.test_app import PASSWORD
from voipat import App, Call, Reason, Registrar
from voipat.messages import Message
from voipat.testing import SimWorld

TEXT = (("Content-Type", "text/plain"),)


def app_of(answers: list[object]) -> App:
    app = App(registrar=Registrar("example.com", password_of=lambda user: PASSWORD, digest=["MD5"]))

    @app.on_call("sip:9@*")
    async def menu(call: Call) -> None:
        await call.answer()
        answers.append(await call.send_message("welcome"))

    @app.on_call("*")
    async def switch(call: Call) -> None:
        await call.bridge(await call.dial(call.to.user or ""))

    @app.on_message
    async def take(message: Message) -> Reason | None:
        answers.append(message.text)
        return await app.deliver(message)

    return app


@pytest.mark.rfc(
    "3428",
    "4",
    "All UACs which support the MESSAGE method MUST be prepared to send MESSAGE requests with a body of type "
    "text/plain.",
)
def test_a_message_in_a_call_reaches_the_other_side_and_its_answer_comes_back() -> None:
    with SimWorld(app_of([])) as world:
        alice, bob = (world.phone(f"sip:{name}@example.com", password=PASSWORD).register() for name in ("a", "b"))
        world.run(until=1.0)
        bob.answers(after=0.5)
        call = alice.dial("b")
        world.run(until=3.0)
        statuses: list[int] = []
        assert call.dialog is not None
        alice.request_in(call.dialog, "MESSAGE", statuses.append, headers=TEXT, body=b"look")
        alice.request_in(call.dialog, "MESSAGE", statuses.append, headers=TEXT, body=b"x" * 1301)
        world.run(until=4.0)
        assert sorted(statuses) == [200, 413] and [each.body for each in bob.messages] == [b"look"]
        call.hang_up()
        world.run()


@pytest.mark.rfc("3428", "7", "A 2xx response to a MESSAGE request MUST NOT contain a body.")
def test_a_program_talks_to_its_caller() -> None:
    answers: list[object] = []
    with SimWorld(app_of(answers)) as world:
        alice = world.phone("sip:a@example.com", password=PASSWORD).register()
        world.run(until=1.0)
        call = alice.dial("9")
        world.run(until=2.0)
        assert [each.body for each in alice.messages] == [b"welcome"] and call.dialog is not None
        world.run()
        assert answers == [None] and call.is_over


def test_a_handler_takes_messages_and_may_pass_them_on() -> None:
    answers: list[object] = []
    with SimWorld(app_of(answers)) as world:
        alice, bob = (world.phone(f"sip:{name}@example.com", password=PASSWORD).register() for name in ("a", "b"))
        world.run(until=1.0)
        statuses = alice.says("b", "hello")
        world.run(until=2.0)
        assert (statuses, answers, bob.messages[0].body) == ([200], ["hello"], b"hello")
