"""What the standalone binary runs: the command line, with worker processes that are the binary again."""

import multiprocessing
import sys

if __name__ == "__main__":
    multiprocessing.freeze_support()
    from augment_open_proxy.cli import main

    sys.exit(main())
