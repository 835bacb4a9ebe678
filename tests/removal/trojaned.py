"""A network with a backdoor built by hand, a scan's finding of it, and clean images to repair it with."""

from functools import cache

from tests.detection.planted import COLUMNS, ROWS, TARGET, module, pictures
from torch import Tensor

from trojancam.attacks.patch import Patch, square
from trojancam.detection.findings import Finding, ScanReport
from trojancam.detection.judgement import Opinion
from trojancam.detection.suspect import Suspect, suspect
from trojancam.network.network import Network

SIZE = (12, 12)
TRUE = square(3, ROWS.start, COLUMNS.start, "magenta", image_size=SIZE)
NEAR = square(
    3, ROWS.start + 1, COLUMNS.start - 1, "magenta", image_size=SIZE
)  # recovered, one pixel beside the true one


@cache
def network() -> Network:
    return Network.from_module(module(trojaned=True), SIZE)


@cache
def clean() -> tuple[Tensor, Tensor]:
    return pictures(54)


@cache
def further() -> tuple[Tensor, Tensor]:
    return pictures(90, seed=7)


def seen() -> Suspect:
    return suspect(network(), *clean())


def finding(trigger: Patch = NEAR) -> Finding:
    """What a scan says of the planted backdoor."""
    return Finding("stimulation", TARGET, 9.0, "0", (1,), (2.5, 8.5), reasr=1.0, trigger=trigger)


def report(verdict: str = "backdoor") -> ScanReport:
    score = {"backdoor": 9.0, "inconclusive": 2.5, "nothing found": 0.5}[verdict]
    return ScanReport(
        verdict,  # type: ignore[arg-type]
        score, 2.9, (Finding("stimulation", TARGET, score, "0", (1,), (2.5, 8.5), trigger=NEAR),),
        {"stimulation": {"inconclusive": 2.0}}, {}, tuple(map(str, range(9))),
        {"stimulation": Opinion(verdict, score, 2.9)},  # type: ignore[arg-type]
    )  # fmt: skip


def true_success(given: Network) -> float:
    """The success rate of the true trigger, which no repair knows, on images that none saw."""
    images, labels = further()
    named = given(TRUE.apply(images)).argmax(1)
    return float((named == TARGET)[labels != TARGET].float().mean())


def clean_share(given: Network) -> float:
    images, labels = further()
    return float((given(images).argmax(1) == labels).float().mean())
