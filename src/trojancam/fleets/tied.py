"""A module of Python that runs until whoever started it ends, however that one ends: a scheduler or a worker of our own.

    python -m trojancam.fleets.tied FOLDER MODULE [ARGUMENTS]

Whoever starts it holds the other end of its standard input. When that is closed, it ends, and its folder is removed.
"""

import os
import runpy
import shutil
import sys
import threading
from pathlib import Path

ABANDONED = 1  # the exit code of one whose starter has ended


def main() -> None:
    """Run the module that the command line names."""
    folder, module, *arguments = sys.argv[1:]
    threading.Thread(target=_end_with_starter, args=(Path(folder),), daemon=True).start()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_starter(folder: Path) -> None:
    """Wait for the end of standard input; nobody writes to it."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(ABANDONED)


if __name__ == "__main__":
    main()
