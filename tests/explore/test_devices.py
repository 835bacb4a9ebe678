"""The explorer answers the same wherever its network computes, and mixes no devices."""

from pathlib import Path
from typing import Any

from tests.explore.conftest import STAMPED, SUBJECT
from tests.far import far_device

import trojancam as tc
from trojancam.explore import answers
from trojancam.explore.models import Source
from trojancam.explore.session import Session
from trojancam.explore.subjects import AboutLayer, AboutMap, AboutStimulation, AboutSubject
from trojancam.stimulation import Stimulation


def all_answers(network: tc.Network, data: Path) -> list[dict[str, Any]]:
    session = Session(lambda made: tc.data.load_dataset(data, size=made.input.size), data)
    session.add(network, Source(data, "model"))
    painted = Stimulation("conv2d_6", 1, value=2.0, window=(1, 2, 5, 4)).to_json()
    given: list[dict[str, Any]] = []
    for subject in (SUBJECT, STAMPED | {"explain": 1}):
        asked = {"subject": subject}
        given += [
            answers.explain(session, AboutSubject.model_validate(asked)),
            answers.layer(session, AboutLayer.model_validate(asked | {"layer": "conv2d_6"})),
            answers.feature_map(session, AboutMap.model_validate(asked | {"layer": "conv2d_6", "map": 3})),
            answers.stimulate(session, AboutStimulation.model_validate(asked | {"stimulation": painted})),
        ]
    session.close()
    return [{name: value for name, value in answer.items() if name != "seconds"} for answer in given]


def test_every_answer_is_that_of_the_processor(network: tc.Network, data: Path) -> None:
    expected = all_answers(network, data)
    with far_device(by_default=True) as device:
        found = all_answers(network.to(device), data)
    assert found == expected
