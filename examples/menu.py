"""A menu: the caller hears a prompt and presses a key.

    python examples/menu.py

Then dial sip:main@127.0.0.1 from any softphone; no account is needed. Three rising tones are the menu: 1 is an echo
test, 2 plays what a busy line in Germany sounds like, anything else a low tone. `call.ask("menu.wav", ...)` plays a
file of yours in their place.
"""

import voipat

MENU = [voipat.Tone(hertz, seconds=0.4) for hertz in (440, 550, 660)]
NOT_UNDERSTOOD = voipat.Tone(220, seconds=0.6)

app = voipat.App(listen="udp://127.0.0.1:5060")


@app.on_call("sip:main@*", public=True)
async def main_menu(call: voipat.Call) -> None:
    await call.answer()
    for _ in range(3):
        match await call.ask(MENU, digits=1, timeout=5.0):
            case "1":
                await call.echo()
            case "2":
                await call.play(voipat.SIGNALS["de"].busy * 5)
                break
        await call.play(NOT_UNDERSTOOD)
    await call.hangup()


if __name__ == "__main__":
    app.run()
