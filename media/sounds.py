"""Sound files by what is in them, whatever their names: WAV and Ogg Opus."""

from __future__ import annotations

from media.ogg_opus import read_ogg_opus
from media.wav import Sound, read_file, read_wav

# What names of sound files end with, in the order in which they are looked for.
ENDINGS = (".wav", ".opus", ".ogg")


def read_sound(data: bytes, source: str) -> Sound:
    """The sound of a file's octets. Raises: PromptCorruptError, PromptTooLargeError, CodecMissingError."""
    return read_ogg_opus(data, source) if data[:4] == b"OggS" else read_wav(data, source)


def read_sound_file(path: str) -> Sound:
    """The sound of a file. Raises: PromptError, CodecMissingError."""
    return read_sound(read_file(path), path)
