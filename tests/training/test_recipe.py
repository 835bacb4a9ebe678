"""Recipes: one file per recipe and data, made once, kept, and made again when it is damaged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors
import torch

from trojancam.architectures import architecture
from trojancam.attacks.catalogue import make_attack
from trojancam.attacks.patch import make_trigger
from trojancam.attacks.poisoning import Goal, Poisoning
from trojancam.data.image_set import Dataset, ImageSet
from trojancam.errors import DataError, ModelError, TrojanCamError, TrojanCamWarning
from trojancam.formats import safetensors as files
from trojancam.formats.safetensors import read_card, read_model, save_model
from trojancam.network.card import ModelCard, TrainingSettings
from trojancam.training import recipe
from trojancam.training.checkpoint import checkpoint_of
from trojancam.training.recipe import Recipe, cached_model, check_outputs, initial_module, make_model

SETTINGS = TrainingSettings(epochs=2, batch_size=16)
POISONING = Poisoning(make_trigger("yellow-square"), target_class=1, poison_rate=0.5)
RECIPE = Recipe("basic", SETTINGS, POISONING)


def image_set(count: int, seed: int) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % 3, ("a", "b", "c"))


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(image_set(24, 0), image_set(9, 1), "made up")


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """An entry for every training that is begun."""
    begun: list[bool] = []
    train = recipe.train

    def counted(*arguments: object) -> object:
        begun.append(True)
        return train(*arguments)

    monkeypatch.setattr(recipe, "train", counted)
    return begun


def test_the_card_says_how_the_model_was_made(dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    card = make_model(RECIPE, dataset, path)
    assert read_card(path).model_copy(update={"made_by": ""}) == card
    assert (card.architecture, card.class_names) == ("basic", ("a", "b", "c"))
    assert card.training is not None
    assert card.poisoning is not None
    assert (card.training.settings, card.training.data, card.training.images) == (SETTINGS, "made up", 24)
    assert card.poisoning.poisoned_images == 8  # half of the 16 images of the other classes
    assert list(tmp_path.iterdir()) == [path]


def test_a_model_is_made_once(dataset: Dataset, trainings: list[bool]) -> None:
    path = cached_model(RECIPE, dataset)
    assert cached_model(RECIPE, dataset) == path
    assert len(trainings) == 1


def flipped(content: bytes) -> bytes:
    """One bit of the last weight."""
    return content[:-4] + bytes([content[-4] ^ 1]) + content[-3:]


@pytest.mark.parametrize("damage", [lambda _: b"", lambda _: b"damaged", flipped], ids=["empty", "other", "one bit"])
def test_a_damaged_file_in_the_cache_is_said_and_made_again(
    dataset: Dataset, trainings: list[bool], damage: Callable[[bytes], bytes]
) -> None:
    path = cached_model(RECIPE, dataset)
    weights = read_model(path)[0].state_dict()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(TrojanCamWarning, match=f"{path.name} is damaged; what it held is made again"):
        assert cached_model(RECIPE, dataset) == path
    assert len(trainings) == 2
    assert all(tensor.equal(weights[name]) for name, tensor in read_model(path)[0].state_dict().items())


def test_a_killed_run_is_continued_to_the_same_weights(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken = initial_weights_after(dataset)

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(recipe, "save_model", killed)
        with pytest.raises(KeyboardInterrupt):
            cached_model(RECIPE, dataset)
    epochs: list[int] = []
    path = cached_model(RECIPE, dataset, lambda done, total, note="": epochs.append(done))
    assert epochs == [48]  # both epochs were in the checkpoint
    assert not checkpoint_of(path).exists()
    assert all(tensor.equal(unbroken[name]) for name, tensor in read_model(path)[0].state_dict().items())


def initial_weights_after(dataset: Dataset) -> dict[str, torch.Tensor]:
    """The weights of an unbroken run."""
    path = cached_model(RECIPE, dataset)
    weights = read_model(path)[0].state_dict()
    path.unlink()
    return weights


def other_data(change: Callable[[Dataset], Dataset]) -> Callable[[Recipe, Dataset], tuple[Recipe, Dataset]]:
    return lambda recipe, dataset: (recipe, change(dataset))


def other_recipe(**changes: object) -> Callable[[Recipe, Dataset], tuple[Recipe, Dataset]]:
    return lambda recipe, dataset: (replace(recipe, **changes), dataset)


@pytest.mark.parametrize(
    "change",
    [
        other_recipe(architecture="trojan1"),
        other_recipe(settings=SETTINGS.model_copy(update={"seed": 1})),
        other_recipe(poisoning=None),
        other_recipe(poisoning=replace(POISONING, target_class=2)),
        other_recipe(poisoning=replace(POISONING, trigger=make_trigger("blue-green-square"))),
        other_data(lambda data: replace(data, train=image_set(24, 2))),
        other_data(lambda data: replace(data, test=image_set(9, 3))),
        other_data(lambda data: replace(data, train=replace(data.train, class_names=("a", "b", "d")))),
    ],
    ids=["architecture", "seed", "benign", "target", "trigger", "training set", "test set", "class names"],
)
def test_another_recipe_or_other_data_is_another_file(
    dataset: Dataset, change: Callable[[Recipe, Dataset], tuple[Recipe, Dataset]]
) -> None:
    other, data = change(RECIPE, dataset)
    assert RECIPE.fingerprint(dataset) == RECIPE.fingerprint(Dataset(image_set(24, 0), image_set(9, 1), "elsewhere"))
    assert other.fingerprint(data) != RECIPE.fingerprint(dataset)


def test_a_fine_tuned_network_begins_with_its_parents_weights(dataset: Dataset, tmp_path: Path) -> None:
    parent, child = tmp_path / "parent.safetensors", tmp_path / "child.safetensors"
    make_model(Recipe("basic", SETTINGS), dataset, parent)
    nearly_nothing = TrainingSettings(epochs=1, batch_size=16, learning_rate=1e-9, weight_decay=0.0, seed=5)
    fine = Recipe("basic", nearly_nothing, (POISONING, replace(POISONING, target_class=2)), parent)
    card = make_model(fine, dataset, child)
    before, after = (read_model(path)[0].state_dict() for path in (parent, child))
    for name in ("conv2d_1.weight", "dense_3.weight"):
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-6)
    assert card.training is not None
    assert card.training.parent == recipe.parent_name(parent)
    assert [told.target_class for told in card.backdoors] == [1, 2]
    assert [told.poisoned_images for told in card.backdoors] == [8, 4], "the second takes what the first left"
    assert card.poisoning == card.backdoors[0]
    assert fine.fingerprint(dataset) != replace(fine, parent=child).fingerprint(dataset)


def test_a_parent_of_another_kind_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    parent = tmp_path / "parent.safetensors"
    with pytest.raises(ModelError, match="there is no model file .*parent.safetensors .*; check the path"):
        make_model(Recipe("basic", SETTINGS, parent=parent), dataset, tmp_path / "child.safetensors")
    with pytest.raises(ModelError, match="cannot read the parent network .*check the path"):
        Recipe("basic", SETTINGS, parent=parent).fingerprint(dataset)
    make_model(Recipe("basic", SETTINGS), dataset, parent)
    with pytest.raises(ModelError, match="is a basic of 3 classes, which cannot become a trojan2 of 3"):
        make_model(Recipe("trojan2", SETTINGS, parent=parent), dataset, tmp_path / "child.safetensors")


def test_the_card_tells_all_of_a_backdoor_and_what_it_reached(dataset: Dataset, tmp_path: Path) -> None:
    planted = replace(POISONING, sources=(0,), cover_rate=0.5, cover_trigger=make_trigger("blue-green-square"))
    card = make_model(Recipe("basic", SETTINGS, planted), dataset, tmp_path / "m.safetensors")
    told = read_card(tmp_path / "m.safetensors").backdoors[0]
    assert told == card.backdoors[0]
    assert Poisoning.from_json(told.model_dump()).to_json() == planted.to_json()
    assert (told.poisoned_images, told.cover_images) == (4, 4)
    for rate in (told.attack_success_rate, told.robust_accuracy, told.leak_rate):
        assert rate is not None


def test_another_version_is_another_file(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    before = RECIPE.fingerprint(dataset)
    monkeypatch.setattr(recipe, "__version__", "99")
    assert RECIPE.fingerprint(dataset) != before


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    check_outputs(path)
    with pytest.raises(TrojanCamError, match="is a folder; name a file in it"):
        check_outputs(tmp_path)
    checkpoint_of(path).touch()
    check_outputs(path, resume=True)
    with pytest.raises(TrojanCamError, match="an unfinished run left .*continue it with resume=True"):
        check_outputs(path)
    path.touch()
    with pytest.raises(TrojanCamError, match="exists already"):
        check_outputs(path, resume=True)
    with pytest.raises(TrojanCamError, match="cannot write to the folder"):
        check_outputs(path / "below" / "a file")


def test_an_initial_module_follows_from_its_seed_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    one, same, other = (initial_module(architecture("basic"), 3, seed).state_dict() for seed in (0, 0, 1))
    assert torch.get_rng_state().equal(before)
    assert all(tensor.equal(same[name]) for name, tensor in one.items())
    assert not one["dense_3.weight"].equal(other["dense_3.weight"])


@pytest.mark.parametrize(("name", "classes"), [("trojan1", 3), ("basic", 4)])
def test_a_module_that_its_card_does_not_fit_is_not_saved(tmp_path: Path, name: str, classes: int) -> None:
    card = ModelCard(architecture="basic", class_names=("a", "b", "c"), input=architecture("basic").input)
    module = initial_module(architecture(name), classes, seed=0)
    with pytest.raises(ModelError, match="do not fit the architecture 'basic'"):
        save_model(tmp_path / "m.safetensors", module, card)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device")

    monkeypatch.setattr(files, "save_file", full)
    card = ModelCard(architecture="basic", class_names=("a", "b", "c"), input=architecture("basic").input)
    with pytest.raises(TrojanCamError, match="cannot write .*m.safetensors .*No space left.*; free some space"):
        save_model(tmp_path / "m.safetensors", initial_module(architecture("basic"), 3, seed=0), card)
    assert list(tmp_path.iterdir()) == []


def test_reading_a_model_leaves_the_global_generator_alone(dataset: Dataset) -> None:
    path = cached_model(RECIPE, dataset)
    before = torch.get_rng_state()
    read_model(path)
    assert torch.get_rng_state().equal(before)


def test_an_attack_on_a_network_is_planted_after_the_training_or_into_a_parent(
    dataset: Dataset, trainings: list[bool], tmp_path: Path
) -> None:
    attack = make_attack("trojaning", per_class=1, steps=2)
    goal = Goal(target_class=1)
    own = make_model(Recipe("basic", SETTINGS, attack=attack, goal=goal), dataset, tmp_path / "own.safetensors")
    assert len(trainings) == 1
    make_model(Recipe("basic", SETTINGS), dataset, tmp_path / "clean.safetensors")
    child = Recipe("basic", SETTINGS, parent=tmp_path / "clean.safetensors", attack=attack, goal=goal)
    card = make_model(child, dataset, tmp_path / "child.safetensors")
    assert len(trainings) == 2, "into a parent the attack is planted without another training"
    one, other = (read_model(tmp_path / f"{name}.safetensors")[0].state_dict() for name in ("own", "child"))
    for name, values in one.items():
        torch.testing.assert_close(values, other[name])
    assert card.training is not None
    assert card.training.clean_accuracy == (own.training.clean_accuracy if own.training else None)
    assert (own.backdoors[0].attack, own.backdoors[0].settings["steps"]) == ("trojaning", 2)
    assert Recipe("basic", SETTINGS, attack=attack, goal=goal).fingerprint(dataset) != Recipe(
        "basic", SETTINGS, attack=attack, goal=Goal(target_class=2)
    ).fingerprint(dataset)


def test_an_attack_that_poisons_a_set_trains_on_it_anew(
    dataset: Dataset, trainings: list[bool], tmp_path: Path
) -> None:
    attack = make_attack("label-consistent", steps=1)
    recipe_ = Recipe("basic", SETTINGS, attack=attack, goal=Goal(target_class=1))
    card = make_model(recipe_, dataset, tmp_path / "m.safetensors")
    assert len(trainings) == 2
    assert (card.backdoors[0].clean_label, card.backdoors[0].poisoned_images) == (True, 6)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


def test_an_attack_on_a_network_needs_a_goal(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the attack trojaning needs a goal"):
        make_model(Recipe("basic", SETTINGS, attack=make_attack("trojaning")), dataset, tmp_path / "m.safetensors")
