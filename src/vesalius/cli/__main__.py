"""``python -m vesalius.cli`` is ``vesalius``."""

import sys

from vesalius.cli import main

if __name__ == "__main__":
    sys.exit(main())
