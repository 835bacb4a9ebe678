"""The page of a result, for notebooks and scripts: one call for scans, explanations, comparisons, sifts and repairs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trojancam.detection.findings import ScanReport
from trojancam.errors import DataError
from trojancam.files import as_path
from trojancam.network import given
from trojancam.network.network import Network
from trojancam.opening.feeding import in_words
from trojancam.report.compare import write_comparison
from trojancam.report.explain import write_explanations
from trojancam.report.provenance import images_fact
from trojancam.report.repair import write_repair
from trojancam.report.scan import write_scan
from trojancam.report.sift import documented, write_sift
from trojancam.tasks.compare import Compared
from trojancam.tasks.explain import Explanations
from trojancam.tasks.repair import Repaired
from trojancam.tasks.scan import Scanned, scanned
from trojancam.tasks.sift import SiftResult
from trojancam.text import with_article

Result = ScanReport | Scanned | Explanations | Compared | SiftResult | Repaired


def write_page(
    result: Result,
    out: str | Path,
    network: Network | None = None,
    images: given.GivenImages | None = None,
    labels: given.GivenLabels | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write the page of a result, and its numbers as JSON, into the folder `out`, as the command does; the path of the page.

    `result` is what `scan`, `explain`, `compare`, `sift` or `repair` gave. The report of a scan does not hold what was scanned:
    give `network`, `images` and `labels` as the scan had them. `settings` are what else the page is to say of how it was made.

    Raises:
        DataError: if it is no such result, or a scan's report comes without network, images and labels.
        TrojanCamError: if the folder cannot be written to.

    >>> import tempfile, torch, trojancam as tc
    >>> from torch import nn
    >>> module = nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 2))
    >>> explained = tc.explain(tc.Network.from_module(module, (8, 8)), torch.rand(1, 3, 8, 8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_page(explained, folder).name
    'index.html'
    """
    folder, said = as_path(out, "the folder of a page", "give the path of a folder"), dict(settings or {})
    if isinstance(result, ScanReport):
        result, facts = _whole(result, network, images, labels)
        said = facts | said
    if isinstance(result, Scanned):
        return write_scan(result, folder, said)
    if isinstance(result, Explanations):
        return write_explanations(result, folder, settings=said).page
    if isinstance(result, Compared):
        return write_comparison(result, folder, said)
    if isinstance(result, SiftResult):
        return write_sift(result, documented(result, said), folder)
    if isinstance(result, Repaired):
        return write_repair(result, folder, said)
    raise DataError(
        f"a page is written of what scan, explain, compare, sift or repair gave, not of {with_article(type(result).__name__)}; "
        "give one of these"
    )


def _whole(
    report: ScanReport, network: Network | None, images: given.GivenImages | None, labels: given.GivenLabels | None
) -> tuple[Scanned, dict[str, Any]]:
    """A scan's report with its strong findings validated, and what it was made from."""
    if network is None or images is None or labels is None:
        raise DataError(
            "the page of a scan shows its findings on the images: write_page(report, out, network, images, labels), all as the "
            "scan had them"
        )
    shown = given.images(network, images)
    classes = given.labels(network, labels, len(shown))
    facts = {"images": len(shown), "images_sha256": images_fact(shown, classes), "input": in_words(network.input)}
    return scanned(network, shown, classes, report), facts | {"fed": network.feeding.words}
