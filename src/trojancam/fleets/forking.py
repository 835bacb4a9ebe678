"""A process that has imported everything and works on each model in a copy of itself: `python -P -m trojancam.fleets.forking`.

It is told jobs in lines of JSON on its standard input, and tells how each ended on its standard output. It kills what takes
longer than it may. It ends when its input does, and whatever it started ends with it, so that nothing is left behind by a
driver that was killed. It never opens a model of others itself: it stays small, and what one model breaks dies with its copy.
"""

import ctypes
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from trojancam import processes
from trojancam.fleets.limits import Limits
from trojancam.fleets.store import Store
from trojancam.fleets.unit import Unit

DIE_WITH_PARENT = 1  # Linux: PR_SET_PDEATHSIG
USED = {
    "inspect": ("trojancam.tasks.inspect",),
    "scan": ("trojancam.report.scan", "scipy.optimize"),
    "repair": ("trojancam.report.repair", "scipy.optimize"),
    "compare": ("trojancam.report.compare",),
}
"""What a task imports; with it comes all else."""


@dataclass
class Copy:
    """A copy that works on a model: its process, when it must be done, and whether it was killed for that."""

    job: int
    process: int
    until: float
    late: bool = False


class Nursery:
    """Copies of this process, each with its model; lines in, lines out."""

    def __init__(self, store: str, watch: int, alive: int) -> None:
        self.store, self.watch, self.alive = Store(Path(store)), watch, alive
        self.copies: dict[int, Copy] = {}

    def start(self, told: dict[str, Any]) -> None:
        """Begin a job."""
        unit, limits = Unit.model_validate(told["unit"]), Limits.model_validate(told["limits"])
        process = processes.forked(lambda: self._work(unit, limits))
        self.copies[process] = Copy(told["job"], process, time.monotonic() + limits.seconds)

    def reap(self) -> None:
        """Tell of all copies that have ended."""
        while self.copies:
            process, status = os.waitpid(-1, os.WNOHANG)
            if not process:
                return
            copy = self.copies.pop(process, None)
            if copy is not None:
                _kill(process)  # what it may have started
                tell(job=copy.job, code=os.waitstatus_to_exitcode(status), late=copy.late)

    def end_late(self) -> None:
        """Kill what has taken too long."""
        for copy in self.copies.values():
            if not copy.late and time.monotonic() > copy.until:
                copy.late = True
                _kill(copy.process)

    def patience(self) -> float | None:
        """How long nothing has to be looked after."""
        waiting = [copy.until for copy in self.copies.values() if not copy.late]
        return max(0.0, min(waiting) - time.monotonic()) if waiting else None

    def _work(self, unit: Unit, limits: Limits) -> int:
        """In the copy: the work, by itself in a group of processes that ends with it."""
        from trojancam.fleets.work import work_on

        os.close(self.alive)
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _die_with_parent(self.watch)
        log = self.store.log(unit)
        _quiet(log)
        work_on(unit, self.store, limits.memory)
        if not log.stat().st_size:
            log.unlink()
        return 0


def tell(**what: object) -> None:
    """Write a line to the driver."""
    os.write(1, json.dumps(what).encode() + b"\n")


def main(store: str, task: str) -> int:
    """Serve jobs until the input ends; the exit code."""
    preload(task)
    watch, alive = os.pipe()  # nobody writes: its reader learns when the last holder of `alive` is gone
    nursery = Nursery(store, watch, alive)
    woken, wakes = socket.socketpair()
    for end in (woken, wakes):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    tell(ready=os.getpid())
    try:
        _serve(nursery, woken)
    finally:
        for process in nursery.copies:
            _kill(process)
    return 0


def _serve(nursery: Nursery, woken: socket.socket) -> None:
    pending = b""
    while True:
        ready, _, _ = select.select([0, woken.fileno()], [], [], nursery.patience())
        if woken.fileno() in ready:
            woken.recv(4096)
        nursery.reap()
        nursery.end_late()
        if 0 in ready:
            chunk = os.read(0, 1 << 16)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                nursery.start(json.loads(line))


def preload(task: str) -> None:
    """Import what work on a model needs, and make everything that libraries make at their first use; no thread is left."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import gc

    import torch

    from trojancam.startup import draw_as_delivered

    draw_as_delivered()
    for module in ("trojancam.fleets.work", *USED[task]):
        importlib.import_module(module)
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.monitor_interval = 0  # its thread, which PyTorch's export would begin
    torch.set_num_threads(1)
    _use_once()
    gc.collect()
    gc.freeze()  # so that copies share what there is


def _use_once() -> None:
    """Work on a small network of our own, so that no copy does for the first time what all of them do."""
    import torch

    from trojancam.fleets.manifest import Entry
    from trojancam.fleets.unit import Settings, Units
    from trojancam.fleets.work import work_on

    small = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 2))
    images = torch.zeros(2, 3, 8, 8, device="cpu")
    with suppress(Exception), tempfile.TemporaryDirectory() as folder:  # without it, copies are slower
        file = Path(folder, "small.pt2")
        torch.export.save(torch.export.export(small.eval(), (images,)), file)
        units = Units(Settings(task="inspect"), None, Path(folder))
        work_on(units.of(Entry(path=file)), Store(Path(folder)))


def _quiet(log: Path) -> None:
    """What a copy prints, which nobody foresaw, goes into a file, and not to the driver."""
    log.parent.mkdir(parents=True, exist_ok=True)
    empty, written = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for old, new in ((0, empty), (1, written), (2, written)):
        os.dup2(new, old)


def _die_with_parent(number: int) -> None:
    """However the parent ends, this copy and what it started end too."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    watch: BinaryIO = os.fdopen(number, "rb", buffering=0)

    def wait() -> None:
        watch.read(1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


def _kill(process: int) -> None:
    """End a process and all of its group."""
    for end in (os.killpg, os.kill):
        try:
            end(process, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
