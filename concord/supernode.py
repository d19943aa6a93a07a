#!/usr/bin/env python3
"""`concord-supernode`: Flower's SuperNode, in a process that ends when the SuperNode does.

A SuperNode that comes back within a minute of being killed is not let in yet and fails; what started it starts it again.
But when Python shuts down, gRPC may wait for a lock that a thread took which runs no more, and then the process neither
works nor ends, and nothing starts it again. Here nothing is left to that shutdown.

The image of the infrastructure has this file without the package: it imports Flower and nothing else.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn

from flwr.supernode.cli import flower_supernode


def main() -> NoReturn:
    """Takes the arguments of `flower-supernode`."""
    sys.argv[0] = "flower-supernode"
    status = 0
    try:
        flower_supernode()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
