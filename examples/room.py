"""Conference rooms: who dials the same room hears the others.

    python examples/room.py

Then dial sip:room-1@127.0.0.1 from two softphones or more; no account is needed. 6 mutes and unmutes, 9 locks the
room, 0 leaves it. A tone tells that somebody has come.
"""

import voipat

JOINED = voipat.Tone(880, seconds=0.2)
LEFT = voipat.Tone(440, seconds=0.2)

app = voipat.App(listen="udp://127.0.0.1:5060")


@app.on_call("sip:room-*@*", public=True)
async def room(call: voipat.Call) -> None:
    await call.answer()
    async with app.conference(call.callee, limit=50) as conference:
        member = await conference.join(call)
        await conference.announce(JOINED)
        async for digit in call.digits():
            match digit:
                case "6":
                    await member.set_muted(not member.muted)
                case "9":
                    conference.lock(not conference.is_locked)
                case "0":
                    await member.leave()
                    await conference.announce(LEFT)
                    break


if __name__ == "__main__":
    app.run()
