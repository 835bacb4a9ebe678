"""Child: a scan or a repair in a process of its own, followed until it ends, however it ends."""

import json
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trojancam import processes
from trojancam.explore.scan_process import RATES, WORDS, ScanJob
from trojancam.explore.subjects import RepairRequest, ScanRequest
from trojancam.progress import Pace

State = Literal["running", "finished", "cancelled", "failed"]
Report = dict[str, Any]
Rates = dict[str, list[float]]  # success rates of all feature maps, by layer

COMPLAINTS = "complaints.txt"  # what the process wrote that nobody foresaw
PATIENCE = 3  # seconds that a process is given to end
AGAIN = "start it again to resume from its last finished step"


@dataclass(frozen=True)
class Kind:
    """What is run, in words, and the file that holds its report."""

    noun: str
    doing: str
    document: str


@dataclass
class Running:
    """One scan or repair: what was asked for, where it is done, and what it last told of itself."""

    asked: ScanRequest | RepairRequest
    folder: Path
    job: ScanJob
    kind: Kind
    state: State = "running"
    done: int = 0
    total: int = 0
    note: str = ""
    message: str = ""
    report: Report | None = None
    words: dict[str, Any] | None = None
    rates: Rates = field(default_factory=dict)
    seconds_left: float | None = None
    pace: Pace = field(default_factory=Pace)
    process: "processes.Popen[str] | None" = None
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, command: Sequence[str], finished: Callable[[Report], None]) -> None:
        """Start the process, and follow it; `finished` is told its report."""
        with (self.folder / COMPLAINTS).open("wb") as complaints:
            self.process = processes.begun(
                [*command, str(self.folder)],
                self.folder,
                stdin=processes.PIPE,
                stdout=processes.PIPE,
                stderr=complaints,
                text=True,
                encoding="utf-8",
            )
        threading.Thread(target=self._follow, args=(self.process, finished), daemon=True).start()

    def cancel(self) -> None:
        """End it, if it is running; its finished steps are kept."""
        with self.lock:
            if self.state != "running":
                return
            self.state, self.message = "cancelled", f"the {self.kind.noun} was cancelled; {AGAIN}"
        if self.process is not None:
            _end(self.process)

    def told_to_page(self) -> dict[str, Any]:
        """What a page shows."""
        return {
            "model": self.asked.model,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "note": self.note,
            "seconds_left": self.seconds_left if self.state == "running" else None,
            "message": self.message or f"the {self.kind.noun} has begun",
            "report": self.report,
            "words": self.words,
        }

    def _follow(self, process: "processes.Popen[str]", finished: Callable[[Report], None]) -> None:
        """Listen to the process until it ends, and conclude."""
        sentence = ""
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                told = _read(line)
                sentence = told.get("error", sentence)
                if "done" in told and self.state == "running":
                    self._has_told(told["done"], told["total"], told["note"])
        try:
            with self.lock:
                if self.state == "running":
                    self._conclude(process.returncode, sentence, finished)
        finally:
            self.ended.set()

    def _has_told(self, done: int, total: int, note: str) -> None:
        self.seconds_left = self.pace.seconds_left(done, total)
        self.done, self.total, self.note, self.message = done, total, note, f"{self.kind.doing}: {note}"

    def _conclude(self, code: int, sentence: str, finished: Callable[[Report], None]) -> None:
        if code == 0:
            try:
                report = self._left(self.kind.document)
                self.words = self._left(WORDS)
                self.rates = self._left(RATES) if (self.folder / RATES).exists() else {}
                self.report = report  # the last: a page may ask meanwhile, and with a report it needs the words
                finished(self.report or {})
                self.done, self.note, self.message, self.state = (
                    self.total,
                    "",
                    f"the {self.kind.noun} is done",
                    "finished",
                )
                return
            except (OSError, ValueError):
                self.report, sentence = None, "its report cannot be read; start it again"
        self.message = self._failure(sentence, code)
        self.state = "failed"

    def _failure(self, sentence: str, code: int) -> str:
        how = f"failed: {sentence}" if sentence else f"{self._end_in_words(code)}; {AGAIN}"
        return f"the {self.kind.noun} {how}"

    def _left(self, name: str) -> Any:
        """What the process left in a file."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def _end_in_words(self, code: int) -> str:
        """How a process ended that said nothing of why."""
        if code < 0:
            name = signal.Signals(-code).name
            return "was killed (SIGKILL), perhaps for want of memory" if name == "SIGKILL" else f"was ended by {name}"
        complaints = (self.folder / COMPLAINTS).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"ended without a report ({complaints[-1] if complaints else f'exit code {code}'})"


def _read(line: str) -> dict[str, Any]:
    """What a line tells; what a library prints beside is nothing."""
    try:
        told = json.loads(line)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _end(process: "processes.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except processes.TimeoutExpired:
        process.kill()
