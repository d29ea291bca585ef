"""`python -m fuzz.sound --count N --seed S`: mutated WAV and Opus files and sealed recordings through their readers.

Law: samples, or an error with a name (PromptError, RecordingError); never another exception, never more sound than the
bytes can hold. A finding is printed with its seed and number, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

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


class Keys:
    """One key for all."""

    def make(self, tenant: str, object_id: str) -> bytes:
        return KEY

    def find(self, tenant: str, object_id: str) -> bytes:
        return KEY


def seeds(folder: Path) -> tuple[list[bytes], bytes]:
    """WAV files of each kind, and a sealed recording."""
    sound = bytes(range(256)) * 8
    wavs = [wav_header(Format(rate, channels), len(sound)) + sound for rate in (8000, 48000) for channels in (1, 2)]
    for coding, bits in ((6, 8), (7, 8), (1, 8), (1, 24), (1, 32), (0xFFFE, 16)):
        head = bytearray(wavs[0])
        head[20:22], head[34:36] = coding.to_bytes(2, "little"), bits.to_bytes(2, "little")
        wavs.append(bytes(head))
    path = folder / "seed"
    writer = SealedWriter(path, Keys(), tenant="t", object_id="o", form=Format(8000, 1), random_bytes=os.urandom)
    for _ in range(4):
        writer.write(sound * 4)
        writer.note("here")
    writer.close()
    return wavs, path.read_bytes()


def mutate(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.choice((0, 1, 1, 2, 8))):
        changed[draw.randrange(min(len(changed), draw.choice((48, 200, len(changed)))))] = draw.randrange(256)
    return bytes(changed[: draw.choice((len(changed), len(changed), draw.randrange(len(changed) + 1)))])


def try_wav(data: bytes) -> None:
    try:
        sound = read_wav(data)
    except PromptError:
        return
    assert len(sound.samples) <= len(data), "more sound than bytes"


def try_opus(data: bytes) -> None:
    try:
        sound = read_sound(data, "mutated")
    except PromptError:
        return
    assert len(sound.samples) <= len(data) * MOST_SAMPLES, "more sound than packets can hold"


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


def try_sealed(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        with SealedReader(path, Keys()) as reader:
            assert sum(map(len, reader.read())) <= len(data), "more sound than bytes"
    except RecordingError:
        return


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wavs, sealed = seeds(Path(folder))
        path = Path(folder) / "mutated"
        writer = OpusWriter(Path(folder) / "seed.opus", Format(8000, 1))
        writer.write(bytes(range(256)) * 12)
        writer.close()
        opus = (Path(folder) / "seed.opus").read_bytes()
        for number in range(options.count):
            draw = random.Random(options.seed * 1_000_003 + number)
            try:
                try_wav(mutate(draw.choice(wavs), draw))
                try_opus(mutate(opus, draw))
                try_opus(remade(opus, draw))
                try_sealed(path, mutate(sealed, draw))
            except Exception as error:
                print(f"finding: --seed {options.seed}, input {number}: {type(error).__name__}: {error}")
                return 1
    print(f"{options.count} inputs, seed {options.seed}: no finding")
    return 0


if __name__ == "__main__":
    sys.exit(main())
