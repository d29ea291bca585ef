"""`python -m fuzz.sdp --count N --seed S`: see `fuzz.sdp_mutations`."""

from __future__ import annotations

import sys

from fuzz.finding import command
from fuzz.sdp_mutations import run

if __name__ == "__main__":
    sys.exit(command("fuzz.sdp", __doc__, run))
