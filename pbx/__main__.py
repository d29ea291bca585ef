"""`python -m pbx` is the `voipat` command."""

import sys

from pbx.cli import main

sys.exit(main())
