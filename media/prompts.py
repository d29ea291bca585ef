"""Prompts: what can be played, encoded once for each codec and shared by all who hear it.

`load` blocks on disk and on arithmetic and is for a thread; `maybe_loaded` never blocks and is for the loop. A file is
looked at again when it was last looked at more than a second ago, and read again when it has changed.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media._engine import LIST_MAX, EncodedAudio
from media.codecs import encoder
from media.errors import PromptMissingError, PromptTooLargeError
from media.resample import resample
from media.sounds import read_sound_file
from media.tones import Tone, tone_samples

# A file's path, a tone, or several of these one after another.
Source = str | os.PathLike[str] | Tone | Sequence["Source"]

Item = str | Tone

FRESH_SECONDS: Final = 1.0
CACHE_OCTETS: Final = 64 * 1024 * 1024


def items_of(source: Source) -> list[Item]:
    """The files and tones of a source, in order. Raises: TypeError, PromptMissingError, PromptTooLargeError."""
    found = list(_flatten(source))
    if not found:
        raise PromptMissingError(repr(source), "nothing to play")
    if len(found) > LIST_MAX:
        raise PromptTooLargeError("a sequence", f"{len(found)} prompts are more than {LIST_MAX}")
    return found


def samples_of(items: Sequence[Item], rate: int, max_seconds: float) -> NDArray[np.int16]:
    """The samples of files and tones, one after another; blocks. Raises: PromptError."""
    found = [_samples(item, rate) for item in items]
    whole = np.concatenate(found)
    if not 0 < len(whole) <= max_seconds * rate:
        raise PromptTooLargeError(
            "an announcement", f"{len(whole) / rate:.1f} s, between 0 and {max_seconds:.0f} are said"
        )
    return whole


def _samples(item: Item, rate: int) -> NDArray[np.int16]:
    if isinstance(item, Tone):
        return tone_samples(item, rate).astype(np.int16)
    _stamp(item)  # a missing file is told as such
    sound = read_sound_file(item)
    return resample(sound.samples, sound.rate, rate).astype(np.int16)


def _flatten(source: Source) -> list[Item]:
    if isinstance(source, str | Tone):
        return [source]
    if isinstance(source, os.PathLike):
        return [os.fspath(source)]
    if isinstance(source, Sequence) and not isinstance(source, bytes | bytearray | memoryview):
        return [item for part in source for item in _flatten(part)]
    raise TypeError(f"{type(source).__name__} cannot be played: a path, a Tone, or a sequence of them")


@dataclass(slots=True)
class _Entry:
    audio: EncodedAudio
    stamp: tuple[int, int, int]  # of the file: times in ns of its content and of its entry, octets
    looked: float


class PromptCache:
    """The prompts of one App. What is evicted is freed when the last one who hears it is done."""

    def __init__(self, *, max_octets: int = CACHE_OCTETS) -> None:
        self._max_octets = max_octets
        self._octets = 0
        self._entries: OrderedDict[tuple[Item, str], _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self._loading: dict[tuple[Item, str], threading.Lock] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def octets(self) -> int:
        """What the cache holds."""
        return self._octets

    def maybe_loaded(self, items: Sequence[Item], codec: str, now: float) -> list[EncodedAudio] | None:
        """The prompts when all are here and known to be fresh; never blocks."""
        found: list[EncodedAudio] = []
        with self._lock:
            for item in items:
                entry = self._entries.get((item, codec))
                if entry is None or (isinstance(item, str) and now - entry.looked > FRESH_SECONDS):
                    return None
                self._entries.move_to_end((item, codec))
                found.append(entry.audio)
        return found

    def load(self, items: Sequence[Item], codec: str, now: float) -> list[EncodedAudio]:
        """The prompts, read and encoded where that is needed. Raises: PromptError, CodecMissingError."""
        return [self._load(item, codec, now) for item in items]

    def _load(self, item: Item, codec: str, now: float) -> EncodedAudio:
        key = (item, codec)
        with self._lock:
            loading = self._loading.setdefault(key, threading.Lock())
        try:
            with loading:  # many calls start with one prompt: it is read once
                stamp = _stamp(item)
                with self._lock:
                    entry = self._entries.get(key)
                    if entry is not None and entry.stamp == stamp:
                        entry.looked = now
                        return entry.audio
                audio = _encode(item, codec)
                self._keep(key, _Entry(audio, stamp, now))
                return audio
        finally:
            with self._lock:
                self._loading.pop(key, None)

    def _keep(self, key: tuple[Item, str], entry: _Entry) -> None:
        with self._lock:
            before = self._entries.pop(key, None)
            self._octets += len(entry.audio) - (0 if before is None else len(before.audio))
            self._entries[key] = entry
            while self._octets > self._max_octets:
                self._octets -= len(self._entries.popitem(last=False)[1].audio)


def _stamp(item: Item) -> tuple[int, int, int]:
    if isinstance(item, Tone):
        return (0, 0, 0)
    try:
        facts = os.stat(item)
    except (OSError, ValueError) as error:
        raise PromptMissingError(item, getattr(error, "strerror", None) or str(error)) from error
    # Whoever copies a file with its time leaves the first as it was, and a prompt of the same length the last.
    return (facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size)


def _encode(item: Item, codec: str) -> EncodedAudio:
    form = encoder(codec)
    if isinstance(item, Tone):
        return EncodedAudio(*form.encode(tone_samples(item, form.rate)))
    sound = read_sound_file(item)
    samples = resample(sound.samples, sound.rate, form.rate)
    if not len(samples):
        samples = sound.samples[:1]
    return EncodedAudio(*form.encode(samples))
