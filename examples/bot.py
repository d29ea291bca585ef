"""A bot that listens and speaks back: the seat for speech recognition and synthesis of any make.

    python examples/bot.py

Then dial sip:bot@127.0.0.1 from any softphone; no account is needed. It waits until you have said something and were
silent for a moment, and says it back an octave higher. `answer_to` is where a language model would sit; who speaks
while the bot does interrupts it.
"""

import asyncio

import numpy as np
from numpy.typing import NDArray

import voipat

RATE = 16000
LOUD = 500  # of 32767: speech; a quiet line with its noise stays below
SILENCE_S = 0.6
FRAME_S = 0.02

app = voipat.App(listen="udp://127.0.0.1:5060")


def answer_to(question: NDArray[np.int16]) -> NDArray[np.int16]:
    """What the bot says to what it heard."""
    return question[::2].copy()


@app.on_call("sip:bot@*", public=True)
async def bot(call: voipat.Call) -> None:
    await call.answer()
    heard: list[NDArray[np.int16]] = []
    silent_s = 0.0
    async with call.voice(rate=RATE) as voice, call.audio(rate=RATE) as frames:
        async for frame in frames:
            is_loud = int(np.abs(frame.samples.astype(np.int32)).mean()) > LOUD
            if is_loud and voice.waiting_seconds > 0:
                voice.flush()
            silent_s = 0.0 if is_loud else silent_s + FRAME_S
            if is_loud or heard:
                heard.append(frame.samples)
            if heard and silent_s >= SILENCE_S:
                # Away from the loop: a model may think for seconds, and other calls go on.
                answer = await asyncio.to_thread(answer_to, np.concatenate(heard))
                heard.clear()
                await voice.write(answer)


if __name__ == "__main__":
    app.run()
