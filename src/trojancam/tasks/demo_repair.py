"""The demonstration's second half: both networks are scanned, the trojaned one is repaired, and scanned again.

Scan and repair see clean images alone. The planted trigger is used at the end, to measure what they achieved.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from trojancam import detection
from trojancam.attacks.patch import Patch
from trojancam.data.image_set import ImageSet
from trojancam.detection.findings import Finding, ScanReport
from trojancam.errors import DataError
from trojancam.figures.views import View, view
from trojancam.files import cache_folder
from trojancam.network.network import Network
from trojancam.progress import Progress, stages
from trojancam.rates import attack_success_rate, clean_accuracy
from trojancam.records import Fraction, Written
from trojancam.showing import Brief
from trojancam.tasks.repair import Repaired, parted, repair
from trojancam.tasks.scan import culpable

METHOD = "stimulation"  # the search for patches, which is what the demonstration plants
SCANNED = 100  # test images
MEASURED = 2000  # test images, at most, on which rates are
LEARNED = 5  # images of each class that the repair is given
SHARES = 25, 25, 50  # of the progress: two scans, the repair


@dataclass(frozen=True)
class Rates(Written, Brief):
    """Of a network on test images that the repair did not learn from for the most part."""

    images: int
    clean_accuracy: Fraction
    attack_success_rate: Annotated[
        Fraction, Field(description="Of the trigger that was planted; scan and repair do not know it.")
    ]


@dataclass(frozen=True)
class Removal(Brief):
    """What the scans of both networks say, the repair of the trojaned one, and its rates before and after.

    `repaired` is None where there is nothing to repair, or not enough to repair it with; `reason` says which. `triggered` is the
    repaired network's view of the example with the planted trigger on, explained by the target class.
    """

    benign: ScanReport
    trojaned: ScanReport
    repaired: Repaired | None
    reason: str
    before: Rates
    after: Rates | None
    triggered: View | None

    @property
    def finding(self) -> Finding | None:
        """The strongest finding in the trojaned network that has a recovered trigger."""
        return next((each for each in self.trojaned.findings if each.trigger is not None), None)


def removal(
    benign: Network,
    trojaned: Network,
    test: ImageSet,
    trigger: Patch,
    target_class: int,
    stamped: Float[Tensor, "3 h w"],
    seed: int,
    progress: Progress,
) -> Removal:
    """Scan both networks, repair the trojaned one, and measure what is left of the trigger that was planted.

    Finished steps are kept in the cache, so that a run that was killed goes on, and a second one takes seconds.

    Raises:
        DataError: if there are not enough images for a scan.
    """
    told = stages(progress, SHARES)
    clean = test.take(SCANNED, seed, spread=True)
    of_benign, of_trojaned = (
        detection.scan(network, *clean, METHOD, seed=seed, journal=_kept(network, "scan"), progress=part)
        for network, part in zip((benign, trojaned), told, strict=False)
    )
    before = rates(trojaned, test, trigger, target_class)
    found, reason = _repaired(trojaned, test, of_trojaned, seed, told[2])
    network = found.network if found else None
    return Removal(
        of_benign,
        of_trojaned,
        repaired=found,
        reason=reason,
        before=before,
        after=rates(network, test, trigger, target_class) if network else None,
        triggered=view(network, stamped, target_class) if network else None,
    )


def rates(network: Network, test: ImageSet, trigger: Patch, target_class: int) -> Rates:
    """Clean accuracy and the success of a trigger, on test images."""
    images, labels = test.take(MEASURED)
    clean, turned = (network(each).argmax(1).cpu() for each in (images, trigger.apply(images)))
    return Rates(len(images), clean_accuracy(clean, labels), attack_success_rate(turned, labels, target_class))


def _repaired(
    network: Network, test: ImageSet, report: ScanReport, seed: int, progress: Progress
) -> tuple[Repaired | None, str]:
    """The repair of a network, or why there is none."""
    ours, further = parted(test, LEARNED, seed)
    try:
        culpable(report)
        return (
            repair(
                network, *ours.take(len(ours), seed), report,
                test=None if further is None else further.take(len(further), seed),
                scan_methods=METHOD, seed=seed, journal=_kept(network, "repair"), progress=progress,
            ),
            "",
        )  # fmt: skip
    except DataError as error:
        return None, error.problem


def _kept(network: Network, step: str) -> Path:
    return cache_folder("demo", f"{network.name}-{network.fingerprint[:16]}", step)
