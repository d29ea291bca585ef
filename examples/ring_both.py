"""A registrar for two users and a number that rings both: the first to answer has the call.

    python examples/ring_both.py

Register two phones at 127.0.0.1 as alice (password a-secret) and bob (b-secret), then dial sip:team@127.0.0.1 from
one of them.
"""

import voipat

registrar = voipat.Registrar("127.0.0.1", password_of={"alice": "a-secret", "bob": "b-secret"}.get)
app = voipat.App(listen=["udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"], registrar=registrar)


@app.on_call("sip:team@*")
async def team(call: voipat.Call) -> None:
    answered = await call.dial(["alice", "bob"], timeout=20.0)
    await call.bridge(answered)


@app.on_call("sip:*@127.0.0.1")
async def user(call: voipat.Call) -> None:
    await call.bridge(await call.dial(call.callee, timeout=20.0))


if __name__ == "__main__":
    app.run()
