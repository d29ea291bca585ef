"""Makes a set of prompts from the texts of a language with espeak-ng: µ-law WAV of 8 kHz, trimmed, of one loudness.

    python tools/prompts.py en [FOLDER]       into voipat/speech/prompts unless another folder is named

The English set is committed, so that nobody who runs voipat needs espeak-ng; other languages are made where they are
wanted.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from media._dsp import ulaw_encode  # noqa: E402
from media.resample import resample  # noqa: E402
from media.wav import read_wav_file  # noqa: E402
from voipat.speech import LANGUAGES, SHIPPED  # noqa: E402
from voipat.speech.texts import texts  # noqa: E402

RATE = 8000
WORDS_PER_MINUTE = 165
# Speech at -20 dBm0 is what telephone networks are planned for (ITU-T G.223).
LEVEL = 32768 * 10 ** (-20 / 20) * 0.707
QUIET = 300
LEAD, TAIL = 0.02, 0.06


def speak(text: str, voice: str, path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    """The text's samples at 8 kHz."""
    command = ["espeak-ng", "-v", voice, "-s", str(WORDS_PER_MINUTE), "-w", str(path), text]
    subprocess.run(command, check=True, capture_output=True)
    sound = read_wav_file(path)
    return trimmed(levelled(np.asarray(resample(sound.samples, sound.rate, RATE), dtype=np.int16)))


def levelled(samples: np.ndarray[Any, np.dtype[np.int16]]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """The samples at LEVEL, measured where somebody speaks."""
    loud = samples[np.abs(samples) > QUIET].astype(np.float64)
    if not len(loud):
        return samples
    gain = LEVEL * 1.6 / np.sqrt(np.mean(loud**2))
    return np.clip(samples * min(gain, 32767 / np.abs(loud).max()), -32768, 32767).astype(np.int16)


def trimmed(samples: np.ndarray[Any, np.dtype[np.int16]]) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Without the silence before and after, but for what a word needs."""
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    if not len(loud):
        return samples
    return samples[max(0, loud[0] - int(LEAD * RATE)) : loud[-1] + int(TAIL * RATE)]


def write(path: Path, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
    """A WAV file of µ-law."""
    codes = ulaw_encode(samples)
    header = b"RIFF" + (50 + len(codes) + len(codes) % 2).to_bytes(4, "little") + b"WAVEfmt "
    header += (18).to_bytes(4, "little") + (7).to_bytes(2, "little") + (1).to_bytes(2, "little")
    header += RATE.to_bytes(4, "little") * 2 + (1).to_bytes(2, "little") + (8).to_bytes(2, "little") + bytes(2)
    header += b"fact" + (4).to_bytes(4, "little") + len(codes).to_bytes(4, "little")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + b"data" + len(codes).to_bytes(4, "little") + codes + bytes(len(codes) % 2))


def make(language: str, folder: Path) -> int:
    """Writes every prompt of a language; how many."""
    wanted = texts(language)
    with tempfile.TemporaryDirectory() as directory:
        for name, text in wanted.items():
            samples = speak(text, LANGUAGES[language].voice, Path(directory) / "spoken.wav")
            write(folder / language / f"{name}.wav", samples)
    return len(wanted)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("language", choices=sorted(LANGUAGES))
    parser.add_argument("folder", nargs="?", type=Path, default=SHIPPED)
    options = parser.parse_args()
    if shutil.which("espeak-ng") is None:
        print("prompts: espeak-ng is missing:  apt-get install --no-install-recommends espeak-ng", file=sys.stderr)
        return 1
    count = make(options.language, options.folder)
    print(f"{count} prompts in {options.folder / options.language}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
