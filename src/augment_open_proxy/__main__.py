"""`python -m augment_open_proxy`, and the entry point of the commands."""

import sys

from augment_open_proxy.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
