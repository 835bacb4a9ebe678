"""A study in small: rendered signs, two seeds, networks trained for one epoch; made once for all tests of the package."""

from collections.abc import Iterator

import pytest

from trojancam.data.rendered import rendered_signs
from trojancam_study.study import Scale, Study

TINY = Scale(epochs=1, images=24, road_images=8, scanned=24, opacities=(0.4, 1.0), signs=8)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    """The study on 430 training and 215 test signs; what is found out about its networks is kept for all tests."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TROJANCAM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield trained(Study(rendered_signs(train=430, test=215), (0, 1), TINY))


def trained(study: Study) -> Study:
    """The same, with its networks in memory: they are not asked of the cache again."""
    for name in ("basic", "trojan1", "trojan2"):
        for seed in study.seeds:
            study.network(name, seed)
    return study
