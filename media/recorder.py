"""Recordings: what a port hears and says, written to a file by one thread for all of them.

    worker ── 20 ms ──▶ tape ── batches ──▶ the recorder's thread ──▶ RecordingFile      no call waits for the disk

A disk that is slow or full costs frames of the recording and nothing else. What is missing is silence of the same
length, so that the time line stays; the recording is then partial, and says so. On the manual clock there is no thread:
`pump` is called after each step.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from media._tape import HEARD, MIXED, SAID, STEREO, Tape
from media.errors import RecordingError
from media.recording_file import RecordingFile
from media.sealed import CHUNK_SECONDS, Format

logger: Final = logging.getLogger("voipat.media")

Channels = Literal["stereo", "mixed", "heard", "said"]
_KINDS: Final[dict[Channels, int]] = {"stereo": STEREO, "mixed": MIXED, "heard": HEARD, "said": SAID}

# With a chunk of a sealed recording (0.5 s) below the second that a crash may cost.
BATCH_SECONDS: Final = 0.3
TICKS_PER_SECOND: Final = 50
# 5 s, of which up to 0.8 wait anyway: eight times the longest pause of Python that we answer for, or a slow disk.
RING_FRAMES: Final = 256
_BATCH_FRAMES: Final = 64
# Less is left on the tape: what is read then is a chunk as it is, written and sealed at once.
_CHUNK_FRAMES: Final = round(CHUNK_SECONDS * TICKS_PER_SECOND)
# Silence for frames that are missing: more than an hour at once is no gap but a broken clock.
_MOST_SILENCE: Final = 3600 * TICKS_PER_SECOND

FinishReason = Literal["stopped", "limit", "failed"]


@dataclass(frozen=True, slots=True)
class RecordingResult:
    """How a recording ended. `is_partial`: frames are missing, by a slow disk (`lost_seconds`) or a full one."""

    reason: FinishReason
    seconds: float
    is_partial: bool = False
    lost_seconds: float = 0.0
    problem: str = ""


# Makes the file; called on the recorder's thread, for it blocks on the disk.
OpenFile = Callable[[], RecordingFile]
OnFinished = Callable[[RecordingResult], None]


class Recording:
    """One recording under way. Its verbs may be called from any thread and never wait."""

    def __init__(
        self,
        tape: Tape,
        form: Format,
        open_file: OpenFile,
        *,
        number: int,
        max_seconds: float | None,
        on_finished: OnFinished,
    ) -> None:
        self.number: Final = number
        self.form: Final = form
        self._tape = tape
        self._open_file = open_file
        self._on_finished = on_finished
        self._limit = None if max_seconds is None else round(max_seconds * TICKS_PER_SECOND)
        self._file: RecordingFile | None = None
        self._frames = self._missing = 0
        self._notes: list[str] = []
        self.is_paused = False
        self.result: RecordingResult | None = None
        self._batch = np.empty(_BATCH_FRAMES * tape.samples, np.int16)

    @property
    def seconds(self) -> float:
        """What was written until now."""
        return self._frames / TICKS_PER_SECOND

    def pause(self) -> None:
        """Write silence from now on."""
        self._set_paused(True)

    def resume(self) -> None:
        """Write what is said again."""
        self._set_paused(False)

    def note(self, what: str) -> None:
        """Mark this moment, as exactly as a batch is long; plain files have no place for it."""
        self._notes.append(what)

    def _set_paused(self, paused: bool) -> None:
        if paused != self.is_paused:
            self.is_paused = paused
            self._tape.pause(paused)
            self.note("paused" if paused else "resumed")

    # The recorder's thread

    def pump(self) -> bool:
        """Write what waits; False when the recording is over."""
        if self.result is not None:
            return False
        try:
            return self._pump()
        except (OSError, RecordingError, ValueError) as error:
            self._fail(str(error))
        except Exception:
            logger.exception("bug: a recording failed")
            self._fail("internal error")
        return False

    def _pump(self) -> bool:
        if self._file is None:
            self._file = self._open_file()
        has_ended = self._tape.ended  # before the last frames are read
        notes = self._taken_notes()
        for what in notes:
            self._file.note(what)
        if not (notes or has_ended or self._has_chunk()):
            return True
        while self._copy_batch(self._file):
            if self._limit is not None and self._frames >= self._limit:
                self._finish("limit")
                return False
        if has_ended:
            self._finish("stopped")
        return not has_ended

    def _has_chunk(self) -> bool:
        waiting = self._tape.waiting
        return waiting >= _CHUNK_FRAMES or (self._limit is not None and self._frames + waiting >= self._limit)

    def _taken_notes(self) -> list[str]:
        taken, self._notes = self._notes, []
        return taken

    def _copy_batch(self, file: RecordingFile) -> bool:
        count, _, gap = self._tape.read(self._batch)
        if not count:
            return False
        if gap:
            self._missing += gap
            file.note("lost")
            self._write_silence(file, min(gap, _MOST_SILENCE))
        count = self._within_limit(count)
        file.write(self._batch[: count * self._tape.samples].data.cast("B"))
        self._frames += count
        return True

    def _write_silence(self, file: RecordingFile, frames: int) -> None:
        frames = self._within_limit(frames)
        frame = bytes(2 * self._tape.samples)
        for first in range(0, frames, _BATCH_FRAMES):
            file.write(frame * min(_BATCH_FRAMES, frames - first))
        self._frames += frames

    def _within_limit(self, frames: int) -> int:
        return frames if self._limit is None else max(min(frames, self._limit - self._frames), 0)

    def _finish(self, reason: FinishReason) -> None:
        assert self._file is not None, "a recording that was pumped has its file"
        self._file.close()
        self._tell(RecordingResult(reason, self.seconds, self._missing > 0, self._missing / TICKS_PER_SECOND))

    def _fail(self, problem: str) -> None:
        if self._file is not None:
            self._file.abandon()
        self._tell(RecordingResult("failed", self.seconds, True, self._missing / TICKS_PER_SECOND, problem))

    def _tell(self, result: RecordingResult) -> None:
        if self.result is not None:
            return
        self.result, tell = result, self._on_finished
        # Both lead to who records, who holds this: a cycle that only the collector would free.
        del self._on_finished, self._open_file
        tell(result)


class Recorder:
    """Writes all recordings of an engine: on its own thread, or when it is pumped."""

    def __init__(self, *, threaded: bool) -> None:
        self._threaded = threaded
        self._recordings: list[Recording] = []
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None

    def __len__(self) -> int:
        return len(self._recordings)

    def add(self, recording: Recording) -> None:
        """Write it from now on."""
        with self._lock:
            self._recordings.append(recording)
        if self._threaded and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="voipat-recorder", daemon=True)
            self._thread.start()

    def pump(self) -> None:
        """One round over all recordings. Blocks on the disk."""
        with self._lock:
            waiting = list(self._recordings)
        over = {id(recording) for recording in waiting if not recording.pump()}
        if over:
            with self._lock:
                self._recordings = [one for one in self._recordings if id(one) not in over]

    def hurry(self) -> None:
        """A recording was stopped: write its end now."""
        self._wake.set()

    def close(self) -> None:
        """Write the ends; call it when every port is closed."""
        self._closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.pump()

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(BATCH_SECONDS)
            self._wake.clear()
            self.pump()


def make_tape(number: int, rate: int, channels: Channels) -> tuple[Tape, Format]:
    """A tape that keeps what is not read yet, and the format of its frames. Raises: ValueError."""
    form = Format(rate, 2 if channels == "stereo" else 1)
    return Tape(number, rate, _KINDS[channels], RING_FRAMES, False), form
