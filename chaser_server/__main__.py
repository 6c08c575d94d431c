"""`python -m chaser_server`: see `cli`."""

import sys

from chaser_server.cli import main

if __name__ == "__main__":
    sys.exit(main())
