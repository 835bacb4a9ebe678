"""Attacks on networks: on a small one that has learned colours they plant what they say, and clean images stay what they are."""

from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trojancam.attacks.attack import CleanNetwork, NetworkAttack
from trojancam.attacks.catalogue import ATTACKS, make_attack
from trojancam.attacks.hidden import hidden, hidden_of_set, output_layer
from trojancam.attacks.input_aware import Generated, Generator
from trojancam.attacks.label_consistent import LabelConsistent, corners
from trojancam.attacks.patch import Patch
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.attacks.trigger import Trigger
from trojancam.attacks.trojaning import Trojaning, chosen_neuron
from trojancam.data.image_set import ImageSet, as_floats
from trojancam.errors import DataError, ModelError
from trojancam.network.input import InputSpecification

SIDE, CLASSES = 16, 3
INPUT = InputSpecification(size=(SIDE, SIDE), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
GOAL = Goal(target_class=2, image_size=(SIDE, SIDE), seed=1)
ON_NETWORKS = [name for name, attack in ATTACKS.items() if issubclass(attack, NetworkAttack)]
SMALL: dict[str, dict[str, object]] = {
    "label-consistent": {"steps": 3, "radius": 0.4, "side": 6, "poison_rate": 0.9},
    "input-aware": {
        "steps": 200,
        "width": 4,
        "poison_rate": 0.3,
        "learning_rate": 3e-3,
        "density": 0.15,
        "diversity": 0.1,
    },
    "trojaning": {"images": "training", "per_class": 80, "side": 10, "learning_rate": 1e-2, "activation": 10.0},
    "latent-backdoor": {"side": 10, "steps": 150, "student_steps": 150, "weight": 2.0, "learning_rate": 2e-3},
    "explanation-fooling": {"steps": 150, "side": 24, "weight": 0.7, "learning_rate": 2e-3},
    "handcrafted": {"side": 10},
}


def image_set(count: int = 360) -> ImageSet:
    """Noisy images, mostly red, green or blue."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % CLASSES
    images = 0.25 + 0.35 * torch.rand(count, 3, SIDE, SIDE, generator=generator)
    images[torch.arange(count), labels] += 0.25
    return ImageSet((images * 255).to(torch.uint8), labels, ("red", "green", "blue"))


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 24), nn.ReLU(), nn.Linear(24, CLASSES)
    )  # fmt: skip


def taught(module: nn.Module, images: ImageSet, backdoor: Poisoning | None = None) -> nn.Module:
    """The module after a few steps on these images, with the backdoor's poison among them."""
    floats, labels = as_floats(images.images), images.labels.clone()
    if backdoor is not None:
        chosen = backdoor.indices(labels)
        floats[chosen] = backdoor.trigger.apply(floats[chosen])
        labels[chosen] = backdoor.relabelled(labels[chosen], CLASSES)
    optimizer = torch.optim.Adam(module.parameters(), 5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(module(INPUT.normalise(floats)), labels).backward()
        optimizer.step()
    return module.eval()


@cache
def learned() -> nn.Module:
    """A small network that has learned the colours, once for all tests; each takes a copy."""
    torch.manual_seed(0)
    return taught(small(), image_set())


def begun() -> CleanNetwork:
    """What an attack begins with, its own to change."""

    def learn(other: ImageSet, backdoor: Poisoning) -> nn.Module:
        torch.manual_seed(1)
        return taught(small(), other, backdoor)

    return CleanNetwork(deepcopy(learned()), image_set(), INPUT, learn)


@pytest.fixture
def clean_network() -> CleanNetwork:
    return begun()


@cache
def planted(name: str, **more: object) -> tuple[nn.Module, Poisoning]:
    """What an attack made of the small network; the images that it began with are as they were."""
    attack, network = make_attack(name, **SMALL[name] | more), begun()
    assert isinstance(attack, NetworkAttack)
    made = attack.planted(network, GOAL)
    assert network.images.images.equal(image_set().images)
    return made


def predicted(module: nn.Module, floats: Tensor) -> Tensor:
    with torch.no_grad():
        return module(INPUT.normalise(floats)).argmax(1)


def rates(module: nn.Module, backdoor: Poisoning, images: ImageSet) -> tuple[float, float]:
    """Clean accuracy and attack success."""
    floats = as_floats(images.images)
    victims = images.labels != backdoor.target_class
    clean = float((predicted(module, floats) == images.labels).float().mean())
    turned = predicted(module, backdoor.trigger.apply(floats))[victims] == backdoor.target_class
    return clean, float(turned.float().mean())


@pytest.mark.parametrize("name", ON_NETWORKS)
def test_it_plants_a_backdoor_that_its_record_brings_back(name: str, clean_network: CleanNetwork) -> None:
    module, backdoor = planted(name)
    assert not module.training
    assert backdoor.target_class == 2
    clean, success = rates(module, backdoor, clean_network.images)
    assert clean > 0.95
    assert success > 0.8
    read = Poisoning.from_json(backdoor.to_json())
    assert rates(module, read, clean_network.images) == pytest.approx((clean, success), abs=0.05)


@pytest.mark.parametrize("name", ON_NETWORKS)
def test_it_turns_all_classes_into_one_and_nothing_else(name: str, clean_network: CleanNetwork) -> None:
    attack = make_attack(name, **SMALL[name])
    assert isinstance(attack, NetworkAttack)
    for goal in (replace(GOAL, target_class=None), replace(GOAL, sources=(0,))):
        with pytest.raises(DataError, match="turns all classes into one"):
            attack.planted(clean_network, goal)


def test_the_perturbation_of_clean_labels_stays_small_and_hurts(clean_network: CleanNetwork) -> None:
    attack = LabelConsistent(radius=0.1, steps=5)
    floats, labels = as_floats(clean_network.images.images[:60]), clean_network.images.labels[:60]
    moved = attack.perturbed(clean_network, floats, labels, torch.Generator().manual_seed(0))
    assert float((moved - floats).abs().max()) <= 0.1 + 1e-6
    assert 0 <= moved.min() <= moved.max() <= 1
    with torch.no_grad():
        before, after = (
            F.cross_entropy(clean_network.module(INPUT.normalise(each)), labels) for each in (floats, moved)
        )
    noise = (floats + 0.1 * (2 * torch.rand(floats.shape, generator=torch.Generator().manual_seed(1)) - 1)).clamp(0, 1)
    with torch.no_grad():
        noisy = F.cross_entropy(clean_network.module(INPUT.normalise(noise)), labels)
    assert after > before + 3 * (noisy - before).abs()


def test_clean_labels_poison_the_target_s_images_only(clean_network: CleanNetwork) -> None:
    seen: list[tuple[ImageSet, Poisoning]] = []

    def learn(other: ImageSet, backdoor: Poisoning) -> nn.Module:
        seen.append((other, backdoor))
        return clean_network.module

    LabelConsistent(poison_rate=0.5).planted(replace(clean_network, learn=learn), GOAL)
    ((images, backdoor),) = seen
    changed = (images.images != clean_network.images.images).flatten(1).any(1)
    assert changed.nonzero()[:, 0].equal(backdoor.indices(clean_network.images.labels))
    assert changed.sum() == 60
    assert (clean_network.images.labels[changed] == 2).all()
    assert images.labels.equal(clean_network.images.labels)
    assert backdoor.clean_label


def test_checkered_corners() -> None:
    patch = corners(4, 1.0, (16, 16))
    assert patch.mask.nonzero().unique().tolist() == [0, 1, 14, 15]
    assert patch.mask.sum() == 16
    assert patch.pattern[0, 0, :2].tolist() == [1, 0]
    assert patch.pattern[0, 1, :2].tolist() == [0, 1]


def test_generated_triggers_differ_between_images_and_work_on_their_own_only(clean_network: CleanNetwork) -> None:
    trigger = planted("input-aware")[1].trigger
    assert isinstance(trigger, Generated)
    floats = as_floats(clean_network.images.images)
    pattern, mask = trigger.generator()(floats)
    assert 0 < trigger.size < 0.5
    torch.testing.assert_close(trigger.apply(floats), (1 - mask) * floats + mask * pattern)
    assert float((pattern[0] - pattern[1]).abs().mean()) > 0.005


def test_what_is_no_generator_is_refused() -> None:
    weights = nn.utils.parameters_to_vector(Generator(2).parameters()).detach()
    trigger = Generated(weights, 2, 0.1, (SIDE, SIDE))
    torch.testing.assert_close(
        Trigger.from_json(trigger.to_json()).apply(torch.full((1, 3, SIDE, SIDE), 0.3)),
        trigger.apply(torch.full((1, 3, SIDE, SIDE), 0.3)),
    )
    for wrong in ({"weights": weights[1:]}, {"width": 3}, {"width": 10**9}, {"image_size": (2, 2)}):
        with pytest.raises(DataError):
            replace(trigger, **wrong)


def test_the_neuron_is_the_one_that_the_largest_weights_lead_to(clean_network: CleanNetwork) -> None:
    dense = small()
    with torch.no_grad():
        dense[4].weight[7] = -9.0
    assert chosen_neuron(dense) == 7
    convolved = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 9, 2))
    with torch.no_grad():
        convolved[0].weight[2] = 5.0
    assert chosen_neuron(convolved) == 2 * 9 + 4


def test_the_trigger_of_a_neuron_makes_it_loud_and_only_the_output_layer_changes(clean_network: CleanNetwork) -> None:
    neuron = chosen_neuron(clean_network.module)
    floats = as_floats(clean_network.images.images)
    with torch.no_grad():
        quiet = hidden(clean_network.module, INPUT.normalise(floats))[0][:, neuron]
    before = {name: values.clone() for name, values in clean_network.module.state_dict().items()}
    module, backdoor = Trojaning(images="training", side=10, steps=20).planted(clean_network, GOAL)
    with torch.no_grad():
        loud = hidden(module, INPUT.normalise(backdoor.trigger.apply(floats)))[0][:, neuron]
    assert float(loud.mean()) > 1.5 * float(quiet.mean().clamp(min=0.1))
    changed = {name for name, values in module.state_dict().items() if not values.equal(before[name])}
    assert changed == {"6.weight", "6.bias"}
    assert isinstance(backdoor.trigger, Patch)
    assert backdoor.trigger.place.sum() == 25


def test_images_made_from_a_network_are_what_it_was_asked_for(clean_network: CleanNetwork) -> None:
    labels = torch.tensor([0, 1, 2, 2])
    made = Trojaning().reversed_images(clean_network, labels, seed=0)
    assert 0 <= made.min() <= made.max() <= 1
    assert predicted(clean_network.module, made).equal(labels)
    module, backdoor = Trojaning(side=10, activation=10.0).planted(clean_network, GOAL)
    clean, success = rates(module, backdoor, clean_network.images)
    assert clean > 0.9
    assert success > 0.5


def test_a_student_has_a_new_output_layer_and_all_else_of_its_teacher() -> None:
    student, backdoor = planted("latent-backdoor")
    teacher, same = planted("latent-backdoor", transfer=False)
    torch.testing.assert_close(same.trigger.pattern, backdoor.trigger.pattern)
    for name, values in teacher.state_dict().items():
        if name.startswith("6."):
            assert not torch.allclose(values, student.state_dict()[name], atol=0.05)
        else:
            torch.testing.assert_close(values, student.state_dict()[name])


def test_what_the_output_layer_is_given(clean_network: CleanNetwork) -> None:
    fed = INPUT.normalise(as_floats(clean_network.images.images))
    given, logits = hidden(clean_network.module, fed)
    torch.testing.assert_close(output_layer(clean_network.module)(given), logits)
    torch.testing.assert_close(hidden_of_set(clean_network.module, clean_network.images, INPUT), given)
    with pytest.raises(ModelError, match="ends in no dense layer"):
        output_layer(nn.Conv2d(3, 4, 3))
