"""`python -m fuzz.sound --count N --seed S`: mutated WAV and Opus files and sealed recordings through their readers.

Law: samples, or an error with a name (PromptError, RecordingError); never another exception, never more sound than the
bytes can hold. Of a hundred inputs 90 are WAV, 8 Opus, 2 sealed. A finding is printed with its seed and input, and the
exit status is 1.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from fuzz.finding import command, each_tried, told
from media.errors import PromptError, RecordingError
from media.ogg import read_pages, write_page
from media.ogg_opus import OpusWriter
from media.recording_file import wav_header
from media.sealed import Format, SealedReader, SealedWriter
from media.sounds import read_sound
from media.wav import read_wav

KEY = bytes(range(32))
# 120 ms at 48 kHz out of one octet.
MOST_SAMPLES = 5760
SLOWEST_S = 0.25


class Keys:
    """One key for all."""

    def make(self, tenant: str, object_id: str) -> bytes:
        return KEY

    def find(self, tenant: str, object_id: str) -> bytes:
        return KEY


class Seeds:
    """WAV files of each kind, an Opus file and a sealed recording, made in `folder`."""

    def __init__(self, folder: Path) -> None:
        sound = bytes(range(256)) * 8
        self.wavs = [
            wav_header(Format(rate, channels), len(sound)) + sound for rate in (8000, 48000) for channels in (1, 2)
        ]
        for coding, bits in ((6, 8), (7, 8), (1, 8), (1, 24), (1, 32), (0xFFFE, 16)):
            head = bytearray(self.wavs[0])
            head[20:22], head[34:36] = coding.to_bytes(2, "little"), bits.to_bytes(2, "little")
            self.wavs.append(bytes(head))
        self.opus = _opus(folder / "seed.opus")
        self.sealed = _sealed(folder / "seed", sound * 4)

    def mutant(self, draw: random.Random) -> bytes:
        """A file after the letter of its kind."""
        kind = draw.randrange(100)
        if kind < 90:
            return b"W" + mutate(draw.choice(self.wavs), draw)
        if kind < 98:
            return b"O" + (mutate(self.opus, draw) if kind < 94 else remade(self.opus, draw))
        return b"S" + mutate(self.sealed, draw)


def _opus(path: Path) -> bytes:
    writer = OpusWriter(path, Format(8000, 1))
    writer.write(bytes(range(256)) * 12)
    writer.close()
    return path.read_bytes()


def _sealed(path: Path, sound: bytes) -> bytes:
    writer = SealedWriter(path, Keys(), tenant="t", object_id="o", form=Format(8000, 1), random_bytes=os.urandom)
    for _ in range(4):
        writer.write(sound)
        writer.note("here")
    writer.close()
    return path.read_bytes()


def mutate(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((0, 1, 1, 2, 8))):
        changed[draw.randrange(min(len(changed), draw.choice((48, 200, len(changed)))))] = draw.randrange(256)
    return bytes(changed[: draw.choice((len(changed), len(changed), draw.randrange(len(changed) + 1)))])


def remade(data: bytes, draw: random.Random) -> bytes:
    """An Ogg file with mutated packets under right checksums."""
    pages = list(read_pages(data))
    made = [
        write_page(
            [mutate(piece, draw) if piece and not draw.randrange(4) else piece for piece in page.pieces],
            flags=draw.choice((page.flags, page.flags, draw.randrange(8))),
            granule=draw.choice((page.granule, page.granule, draw.randrange(-9, 1 << 40))),
            serial=page.serial,
            number=0,
        )
        for page in pages
    ]
    return b"".join(made)


def read_whole_wav(data: bytes) -> None:
    assert len(read_wav(data).samples) <= len(data), "more sound than bytes"


def read_any(data: bytes) -> None:
    assert len(read_sound(data, "mutated").samples) <= len(data) * MOST_SAMPLES, "more sound than packets can hold"


def read_sealed(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with SealedReader(path, Keys()) as reader:
        assert sum(map(len, reader.read())) <= len(data), "more sound than bytes"


def tried(count: int, seed: int) -> Counter[str]:
    """What became of `count` files. Raises: Finding."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutated"
        readers: dict[bytes, tuple[str, Callable[[bytes], None]]] = {
            b"W": ("WAV", read_whole_wav),
            b"O": ("Opus", read_any),
            b"S": ("sealed", lambda data: read_sealed(path, data)),
        }

        def outcome(data: bytes) -> str:
            name, read = readers[data[:1]]
            try:
                read(data[1:])
            except (PromptError, RecordingError):
                return f"{name} refused"
            return f"{name} read"

        return each_tried(count, seed, Seeds(Path(folder)).mutant, outcome, slowest_s=SLOWEST_S)


def run(count: int, seed: int) -> int:
    """Try `count` files; the exit status. Raises: Finding."""
    tally = tried(count, seed)
    print(f"fuzz.sound: {count} files, seed {seed}: {told(tally)}")
    return 1 if tally["slow"] > max(3, count // 1000) else 0


if __name__ == "__main__":
    sys.exit(command("fuzz.sound", __doc__, run))
