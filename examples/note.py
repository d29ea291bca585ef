"""A recorder: the caller says something after the tone, presses # and hears it.

    python examples/note.py

Then dial sip:note@127.0.0.1 from any softphone; no account is needed. Each note is a WAV file in notes/: left what the
caller said, right what the caller was told.
"""

import voipat

app = voipat.App(listen="udp://127.0.0.1:5060")


@app.on_call("sip:note@*", public=True)
async def note(call: voipat.Call) -> None:
    await call.answer()
    await call.play(voipat.Tone(440, seconds=0.3))
    async with call.record(f"notes/{call.id}.wav", stop_digit="#", max_seconds=300) as recording:
        await recording.finished()
    await call.play(recording.path)


if __name__ == "__main__":
    app.run()
