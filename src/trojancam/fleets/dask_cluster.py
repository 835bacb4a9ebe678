"""A cluster of dask: its scheduler's address, checked before anything is sent, or processes of our own on this machine.

Whoever reaches a scheduler of dask can run code on its workers, and so can whoever listens on the way. So every address is on
this machine, or the connection is encrypted and both sides show certificates (TLS).
"""

import functools
import ipaddress
import json
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trojancam import processes
from trojancam.errors import DataError, ModelError, Remedy, TrojanCamError
from trojancam.fleets.store import LOGS

LOCAL, SLURM = "local", "slurm"
SUBMITS = "sbatch"  # gives SLURM a job
STARTED = 60.0  # seconds within which a scheduler of our own is there
CONNECTED = 15.0  # and within which one that is named answers
ALLOWED_FAILURES = "1"  # of a worker with a task, before a second one ends it
SETTINGS = {
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": ALLOWED_FAILURES,
    "DASK_DISTRIBUTED__WORKER__DAEMON": "False",  # a worker starts processes of its own
}
WHY = "whoever reaches a dask scheduler can run code on its workers"


def library() -> Any:
    """`distributed`.

    Raises:
        ModelError: if it is not installed.
    """
    try:
        import distributed
    except ImportError:
        raise ModelError("a scheduler needs dask.distributed", Remedy.INSTALL, detail="'trojancam[fleet]'") from None
    return distributed


def check_scheduler(address: str) -> None:
    """Refuse a scheduler that others can reach without TLS.

    Raises:
        DataError: if it is none, or neither on this machine nor behind TLS.

    >>> check_scheduler("tcp://127.0.0.1:8786"); check_scheduler("tls://10.0.0.5:8786")
    >>> check_scheduler("tcp://10.0.0.5:8786")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    trojancam.errors.DataError: tcp://10.0.0.5:8786 can be reached by others without TLS, and ...
    """
    if address in (LOCAL, SLURM):
        return
    parts = urlsplit(address)
    try:
        known = parts.scheme in ("tcp", "tls") and parts.hostname is not None and parts.port is not None
    except ValueError:
        known = False
    if not known:
        raise DataError(f"a scheduler is local, slurm, tcp://HOST:PORT or tls://HOST:PORT, not {address!r}")
    if not safe(address):
        raise DataError(
            f"{address} can be reached by others without TLS, and {WHY}; use tls:// with certificates, or bind it to "
            "127.0.0.1 and reach it through a tunnel"
        )


def safe(address: str) -> bool:
    """Whether an address is encrypted, or on this machine.

    >>> safe("tcp://[::1]:1"), safe("tcp://localhost:1"), safe("tcp://192.168.0.1:1"), safe("tcp://127.0.0.1.example.org:1")
    (True, True, False, False)
    """
    parts = urlsplit(address)
    if parts.scheme == "tls":
        return True
    try:
        return parts.scheme == "tcp" and ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.scheme == "tcp" and parts.hostname == "localhost"


@contextmanager
def client_of(address: str, workers: int, memory: int, folder: Path) -> Iterator[tuple[Any, Any]]:
    """A client of the scheduler at an address, or of one that is started with so many workers; and what keeps these alive.

    Jobs of SLURM write what they print below `folder`, which all machines see.

    Raises:
        DataError: if others can reach the scheduler or a worker without TLS.
        TrojanCamError: if there is none, or it cannot be started.
        ModelError: if a library is not installed.
    """
    check_scheduler(address)
    distributed = library()
    if address == LOCAL:
        with OwnCluster(workers, memory) as cluster, _client(distributed, cluster.address) as client:
            yield client, cluster.keep
    elif address == SLURM:
        with _slurm(workers, memory, folder) as cluster, distributed.Client(cluster, set_as_default=False) as client:
            yield client, functools.partial(cluster.scale, jobs=workers)  # submits jobs in place of those that ended
    else:
        with _client(distributed, address) as client:
            yield client, lambda: None


@contextmanager
def _client(distributed: Any, address: str) -> Iterator[Any]:
    try:
        client = distributed.Client(address, timeout=CONNECTED, set_as_default=False)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        told = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise TrojanCamError(
            f"no scheduler answers at {address} ({told[:200]}); start one, and for tls:// name the certificates in dask's "
            "settings"
        ) from None
    try:
        _check_all(client, address)
        yield client
    finally:
        with suppress(Exception):  # the scheduler may be gone
            client.close(timeout=2)


def _check_all(client: Any, address: str) -> None:
    """The scheduler and its workers, where they really listen.

    Raises:
        DataError: if others can reach one of them without TLS.
    """
    told = client.scheduler_info()
    for what, found in [("the scheduler", told["address"]), *(("a worker", each) for each in told["workers"])]:
        if not safe(found):
            raise DataError(
                f"{what} of {address} listens at {found}, where others reach it without TLS, and {WHY}; start it with "
                "--host 127.0.0.1, or with TLS"
            )


class OwnCluster:
    """A scheduler and workers in processes of our own, bound to 127.0.0.1, without a dashboard; workers that end are replaced.

    They end with this process, also if it is killed.
    """

    def __init__(self, workers: int, memory: int) -> None:
        self.count, self.memory = workers, memory
        self.address = ""
        self.scheduler: processes.Popen[bytes] | None = None
        self.workers: list[processes.Popen[bytes]] = []

    def __enter__(self) -> "OwnCluster":
        self._folder = tempfile.TemporaryDirectory(prefix="trojancam-dask-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        said = self.folder / "scheduler.json"
        self.scheduler = self._begun(
            "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(said)
        )
        try:
            self.address = self._address(said)
        except BaseException:
            self.__exit__()
            raise
        self.keep()
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers, *filter(None, [self.scheduler])]:
            process.terminate()
        for process in [*self.workers, *filter(None, [self.scheduler])]:
            try:
                process.wait(5)
            except processes.TimeoutExpired:
                process.kill()
                process.wait()
            _let_go(process)
        self._folder.cleanup()

    def keep(self) -> None:
        """Begin workers in place of those that have ended."""
        for ended in [each for each in self.workers if each.poll() is not None]:
            _let_go(ended)
            self.workers.remove(ended)
        while len(self.workers) < self.count:
            own = "--host", "127.0.0.1", "--no-nanny", "--nthreads", "1", "--no-dashboard", "--death-timeout", "60"
            limits = "--memory-limit", str(self.memory), "--local-directory", str(self.folder)
            self.workers.append(self._begun("dask_worker", self.address, *own, *limits))

    def _begun(self, module: str, *arguments: str) -> "processes.Popen[bytes]":
        tied = "-m", "trojancam.fleets.tied", str(os.getpid()), str(self.folder)
        with (self.folder / "log.txt").open("ab") as log:
            return processes.begun(
                processes.python(*tied, f"distributed.cli.{module}", *arguments),
                self.folder,
                more=SETTINGS,
                stdin=processes.PIPE,  # held open as long as this process lives
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _address(self, said: Path) -> str:
        """Where the scheduler listens.

        Raises:
            TrojanCamError: if it ends, or does not say so in time.
        """
        end = time.monotonic() + STARTED
        while time.monotonic() < end:
            assert self.scheduler is not None
            with suppress(OSError, ValueError, KeyError):
                return str(json.loads(said.read_text(encoding="utf-8"))["address"])
            if self.scheduler.poll() is not None:
                break
            time.sleep(0.05)
        log = (self.folder / "log.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise TrojanCamError(f"the dask scheduler does not start ({log[-1] if log else 'it says nothing'})")


def _let_go(process: "processes.Popen[bytes]") -> None:
    assert process.stdin is not None
    process.stdin.close()


def _slurm(workers: int, memory: int, folder: Path) -> Any:
    """Jobs of SLURM that are workers, behind TLS; what they print, and their certificates while they run, lie in `folder`.

    Raises:
        ModelError: if dask-jobqueue is not installed.
        DataError: if a shell would read the folder's path otherwise.
        TrojanCamError: if jobs cannot be given to SLURM from here.
    """
    try:
        from dask_jobqueue import SLURMCluster
        from distributed.security import Security
    except ImportError:
        raise ModelError("--scheduler slurm needs dask-jobqueue", Remedy.INSTALL, detail="dask-jobqueue") from None
    if shutil.which(SUBMITS) is None:
        raise TrojanCamError(f"--scheduler slurm needs {SUBMITS}, which is not here; give the command where SLURM is")
    if shlex.quote(str(folder)) != str(folder):
        raise DataError(
            f"the scripts of SLURM's jobs cannot hold the path {folder}; give --out a folder without spaces and signs of a shell"
        )
    try:
        security = Security.temporary()
    except ImportError:
        raise ModelError("TLS between the jobs needs cryptography", Remedy.INSTALL, detail="cryptography") from None
    cluster = SLURMCluster(
        cores=1,
        processes=1,
        memory=f"{memory >> 20}MiB",
        security=security,
        protocol="tls://",
        job_script_prologue=[f"export {name}={value}" for name, value in SETTINGS.items()],
        scheduler_options={"dashboard": False, "allowed_failures": int(ALLOWED_FAILURES)},
        log_directory=str(folder / LOGS),
        shared_temp_directory=str(folder),  # the key is a file that only its owner reads, and is gone at the end
    )
    cluster.scale(jobs=workers)
    return cluster
