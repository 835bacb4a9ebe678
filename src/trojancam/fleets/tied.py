"""A module of Python that runs until whoever started it ends, however that one ends: a scheduler or a worker of our own.

    python -m trojancam.fleets.tied PROCESS FOLDER MODULE [ARGUMENTS]

PROCESS is the number of whoever starts it. That one holds the other end of standard input: when it is closed, this ends, and its
folder is removed. It also ends when another process has become its parent, for a copy of its starter may still hold that end.
"""

import os
import runpy
import select
import shutil
import sys
import threading
from pathlib import Path

LOOKS = 1.0  # seconds after which it looks for its parent
ABANDONED = 1  # the exit code of one whose starter has ended


def main() -> None:
    """Run the module that the command line names."""
    starter, folder, module, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with, args=(int(starter), Path(folder)), daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with(starter: int, folder: Path) -> None:
    """Wait for the end of standard input, to which nobody writes, or for another parent."""
    given = sys.stdin.fileno()
    while os.getppid() == starter:
        if select.select([given], [], [], LOOKS)[0] and not os.read(given, 1):
            break
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(ABANDONED)


if __name__ == "__main__":
    main()
