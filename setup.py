"""Native modules of voipat; everything else is in pyproject.toml.

`ext/` holds the sources, the modules land beside their Python face: `sipcore._siptext`, `media._engine`.
VOIPAT_DEBUG=1 builds with bounds checks, live-handle counters and no optimisation;
VOIPAT_SANITIZE=address,undefined adds the sanitizers.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

DEBUG = os.environ.get("VOIPAT_DEBUG") == "1"
SANITIZE = os.environ.get("VOIPAT_SANITIZE", "")
JOBS = os.cpu_count() or 1

COMPILE = ["-std=gnu11", "-Wall", "-Wno-unused-function"]
LINK: list[str] = ["-lm"]
if DEBUG:
    COMPILE += ["-O1", "-g3", "-fno-omit-frame-pointer", "-DVOIPAT_DEBUG=1"]
else:
    COMPILE += ["-O3", "-g0", "-DNDEBUG"]
    if sys.platform == "linux":
        LINK += ["-Wl,-s"]
if SANITIZE:
    COMPILE += [f"-fsanitize={SANITIZE}"]
    LINK += [f"-fsanitize={SANITIZE}"]

# Module → its sources. A module appears here with its first function.
MODULES = {
    "sipcore._digest": ["ext/siptext/_digest.pyx"],
    "sipcore._guard": ["ext/siptext/_guard.pyx"],
    "sipcore._sdp": ["ext/siptext/_sdp.pyx"],
    "sipcore._sipfields": ["ext/siptext/_sipfields.pyx"],
    "sipcore._siptext": ["ext/siptext/_siptext.pyx"],
    "sipcore._timers": ["ext/siptext/_timers.pyx"],
    "sipcore._values": ["ext/siptext/_values.pyx"],
    "sipcore.aio._datagrams": ["ext/net/_datagrams.pyx"],
    "media._dsp": ["ext/face/_dsp.pyx"],
    "media._engine": ["ext/face/_engine.pyx"],
    "media._tape": ["ext/face/_tape.pyx"],
    "pbx._heap": ["ext/heap/_heap.pyx"],
    "voipat._aors": ["ext/siptext/_aors.pyx"],
    "voipat.load._load": ["ext/load/_load.pyx"],
}


def extensions() -> list[Extension]:
    headers = sorted(str(path) for path in Path("ext").glob("*/*.h"))
    return [
        Extension(
            name,
            sources,
            include_dirs=["ext/include", "ext/siptext", "ext/kernel", "ext/net", "ext/load", "ext/heap"],
            depends=headers,
            extra_compile_args=COMPILE,
            extra_link_args=[*LINK, "-pthread"],
        )
        for name, sources in MODULES.items()
        if Path(sources[0]).exists()
    ]


setup(
    ext_modules=cythonize(
        extensions(),
        nthreads=JOBS,
        build_dir="build/cython-debug" if DEBUG else "build/cython",  # the directives differ
        include_path=["ext/include", "ext/siptext", "ext/kernel", "ext/face", "ext/net", "ext/load"],
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "initializedcheck": DEBUG,
            "cdivision": True,
            "embedsignature": True,
        },
    ),
    options={"build_ext": {"parallel": JOBS}},
)
