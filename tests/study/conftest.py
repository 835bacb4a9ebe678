"""A study in small: rendered signs, two seeds, networks trained for one epoch; made once for all tests of a run."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.shared import alone_on

from trojancam.data.rendered import rendered_signs
from trojancam_study import detections
from trojancam_study import study as studies
from trojancam_study.study import Scale, Study

# How the study's scans are cut short: what they find is tested where the detectors are.
SCAN = {"stimulation": {"rounds": 3, "candidates": 2, "search_images": 4}}
TINY = Scale(epochs=1, images=16, road_images=8, scanned=12, opacities=(0.4, 1.0), signs=8)


def one_after_the_other(cache: Path, work: Callable[..., Any]) -> Callable[..., Any]:
    """The same work, for which processes wait for each other."""

    def wait_and_work(*given: Any, **named: Any) -> Any:
        with alone_on(cache / work.__name__):
            return work(*given, **named)

    return wait_and_work


@contextmanager
def kept_for_all(cache: Path) -> Iterator[None]:
    """What is trained and scanned meanwhile lies in a cache that all processes of a run share."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TROJANCAM_CACHE", str(cache))
        patched.setattr(detections, "scan", partial(detections.scan, settings=SCAN))
        for module, name in ((studies, "cached_model"), (detections, "_kept")):
            patched.setattr(module, name, one_after_the_other(cache, getattr(module, name)))
        yield


def small_study(seeds: tuple[int, ...]) -> Study:
    return Study(rendered_signs(train=430, test=215), seeds, TINY)


@pytest.fixture(scope="session")
def study(shared: Path) -> Study:
    """The study on 430 training and 215 test signs; what is found out about its networks is kept for all tests."""
    with kept_for_all(shared / "study"):
        return trained(small_study((0, 1)))


def trained(study: Study) -> Study:
    """The same, with its networks in memory: they are not asked of the cache again."""
    for name in ("basic", "trojan1", "trojan2"):
        for seed in study.seeds:
            study.network(name, seed)
    return study
