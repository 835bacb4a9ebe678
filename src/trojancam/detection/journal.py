"""Journal: the steps of a long scan, each kept as it is done, so that a scan that was killed goes on where it was."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import safetensors
from safetensors.torch import save_file
from torch import Tensor

from trojancam.files import writable_folder, written_whole

RUN = "run"  # the key in a step's metadata
Values = dict[str, Tensor]


class Journal:
    """Results of steps by name, in a folder of files (or in memory alone), for one run.

    A step that was done before, by a run of the same name, is read; what it holds is what was computed, to the last
    bit. A file of another run, or one that is damaged, is done again.
    """

    def __init__(self, folder: Path | None = None, run: str = "") -> None:
        self.folder = writable_folder(folder) if folder else None
        self.run = run
        self.timing: dict[str, float] = {}

    def step(self, name: str, work: Callable[[], Values]) -> Values:
        """What `work` gives, now or when it was done before."""
        started = time.perf_counter()
        values = self._read(name)
        if values is None:
            values = {key: value.contiguous() for key, value in work().items()}
            self._write(name, values)
        self.timing[name] = time.perf_counter() - started
        return values

    def clear(self) -> None:
        """Forget everything: the run is finished."""
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, name: str) -> Path | None:
        return self.folder / f"{quote(name, safe=' ')}.safetensors" if self.folder else None

    def _read(self, name: str) -> Values | None:
        path = self._path(name)
        if path is None or not path.is_file():
            return None
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get(RUN) != self.run:
                    return None
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        except (safetensors.SafetensorError, OSError):
            return None

    def _write(self, name: str, values: Values) -> None:
        path = self._path(name)
        if path is not None:
            with written_whole(path) as partial:
                save_file(values, partial, metadata={RUN: self.run})
