"""TeCo against grades counted one by one, and on a network that sees a trigger whatever else is spoilt."""

import torch
from tests.defences.planted import network, triggered
from tests.detection.planted import pictures

from trojancam.defences import Reference, Seen, teco
from trojancam.defences.corruptions import CORRUPTIONS, corrupted


def test_the_score_is_the_deviation_of_the_first_grades_at_which_the_class_is_lost():
    net, images = network(), torch.cat([triggered(2), pictures(2, seed=8)[0]])
    seen = Seen(net, images, seed=3)
    own = net(images).argmax(1)
    counted = []
    for number in range(len(images)):
        grades = []
        for name in CORRUPTIONS:
            lost = [
                grade
                for grade in range(1, 6)
                if int(net(corrupted(images[number : number + 1], name, grade, 3)).argmax()) != int(own[number])
            ]
            grades.append(float(min(lost, default=6)))
        counted.append(grades)
    expected = torch.tensor(counted, dtype=torch.float64)
    assert torch.equal(teco.lost_at(seen).double(), expected)
    scores = teco.learn(Reference(net, images))(seen).values
    torch.testing.assert_close(scores.double(), (expected - expected.mean(1, keepdim=True)).square().mean(1).sqrt())
