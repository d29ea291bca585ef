"""Answers every call and sends the caller's voice back.

    python examples/echo.py

Then dial sip:echo@127.0.0.1 from any softphone; no account is needed.
"""

import voipat

app = voipat.App(listen="udp://127.0.0.1:5060")


@app.on_call("sip:echo@*", public=True)
async def echo(call: voipat.Call) -> None:
    await call.answer()
    await call.echo()


if __name__ == "__main__":
    app.run()
