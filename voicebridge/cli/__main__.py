"""`python -m voicebridge.cli`: the same as the program `voicebridge`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
