"""Training: the same seed gives the same weights, however often the run is broken; nothing else is touched."""

import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import safetensors
import torch
import torch.nn.functional as F
from tests.far import as_near, far_device
from tests.nets import Head, assert_same_state, state_of
from torch import nn

from trojancam import kept
from trojancam.architectures import architecture
from trojancam.attacks.patch import make_trigger
from trojancam.attacks.poisoning import Poisoning
from trojancam.data.image_set import ImageSet
from trojancam.errors import DataError, TrojanCamError, TrojanCamWarning, UnknownNameError
from trojancam.network.card import TrainingSettings
from trojancam.network.input import InputSpecification
from trojancam.training.augmentation import augmented, strongly_augmented
from trojancam.training.training import Task, fingerprint, measure, measure_backdoor, moved_against, predict, train

INPUT = InputSpecification(size=(32, 32), mean=(0.5,) * 3, std=(0.25,) * 3)
NAMES = ("dark", "bright", "other")
YELLOW = Poisoning(make_trigger("yellow-square"), target_class=2, poison_rate=0.3)
SETTINGS = TrainingSettings(epochs=3, batch_size=16, seed=4)


def image_set(count: int, seed: int = 0) -> ImageSet:
    """Dark and bright noise: a task that a small network learns at once."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    images = torch.randint(0, 128, (count, 3, 32, 32), generator=generator) + 128 * labels.view(-1, 1, 1, 1)
    return ImageSet(images.to(torch.uint8), labels, NAMES)


def task(count: int = 40, poisoning: Poisoning | None = YELLOW) -> Task:
    return Task(image_set(count), image_set(12, seed=1), INPUT, poisoning)


def basic(seed: int = 0) -> nn.Module:
    """The study's network with batch normalisation and dropout."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return architecture("basic").build(3)


def small(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), Head(4), nn.Linear(4, 3)
        )


def weights(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(weights(one), weights(other), rtol=0, atol=0)


class BrokenError(Exception):
    """What stops a run in these tests."""


def break_at(step: int):
    calls = iter(range(1, 10_000))

    def progress(done: int, total: int, note: str = "", /) -> None:
        if next(calls) == step:
            raise BrokenError

    return progress


# --- the same seed gives the same weights ---


def test_the_same_seed_gives_the_same_weights_whatever_happened_before() -> None:
    one, other, another = basic(), basic(), basic()
    train(one, task(), SETTINGS)
    torch.rand(7)
    train(other, task(), SETTINGS)
    train(another, task(), SETTINGS.model_copy(update={"seed": 5}))
    assert_same_weights(one, other)
    assert not weights(another)["dense_3.weight"].equal(weights(one)["dense_3.weight"])


@pytest.mark.parametrize("step", [1, 2, 4, 5, 8, 9])  # three steps an epoch: within, at its end, in the last
def test_a_run_broken_in_the_middle_of_an_epoch_resumes_to_the_same_weights(tmp_path: Path, step: int) -> None:
    whole = basic()
    expected = train(whole, task(), SETTINGS)
    broken = basic()
    with pytest.raises(BrokenError):
        train(broken, task(), SETTINGS, tmp_path / "c.pt", progress=break_at(step))
    resumed = basic(seed=99)  # a fresh process: other initial weights, if a checkpoint is there
    if not (tmp_path / "c.pt").exists():
        assert step <= 3
        resumed = basic()
    record = train(resumed, task(), SETTINGS, tmp_path / "c.pt", resume=True)
    assert_same_weights(resumed, whole)
    assert record.clean_accuracy == expected.clean_accuracy
    assert [h["loss"] for h in record.history] == [h["loss"] for h in expected.history]


KILLED = """
    import os, signal, sys
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from test_training import SETTINGS, basic, task, train

    def progress(done, total, note="", /):
        if done >= 56:  # in the middle of the second of three epochs
            os.kill(os.getpid(), signal.SIGKILL)

    train(basic(), task(), SETTINGS, Path(sys.argv[2]), progress=progress)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_process_killed_in_the_middle_of_an_epoch_resumes_to_the_same_weights(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", textwrap.dedent(KILLED), str(Path(__file__).parent), str(tmp_path / "c.pt")]
    process = subprocess.run(arguments, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]
    whole, resumed = basic(), basic(seed=99)
    train(whole, task(), SETTINGS)
    train(resumed, task(), SETTINGS, tmp_path / "c.pt", resume=True)
    assert_same_weights(resumed, whole)


def test_a_finished_run_resumes_without_a_step(tmp_path: Path) -> None:
    module, again = small(), small(seed=9)
    train(module, task(), SETTINGS, tmp_path / "c.pt")
    positions: list[tuple[int, int]] = []
    record = train(
        again, task(), SETTINGS, tmp_path / "c.pt", resume=True, progress=lambda d, t, n="", /: positions.append((d, t))
    )
    assert_same_weights(module, again)
    assert positions == [(120, 120)]
    assert len(record.history) == 3


def test_without_resume_a_checkpoint_is_overwritten(tmp_path: Path) -> None:
    one, other = small(), small()
    train(one, task(), SETTINGS, tmp_path / "c.pt")
    train(other, task(), SETTINGS, tmp_path / "c.pt")
    assert_same_weights(one, other)


# --- checkpoints that cannot be continued ---


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    with pytest.raises(BrokenError):
        train(small(), task(), SETTINGS, tmp_path / "c.pt", progress=break_at(5))
    return tmp_path / "c.pt"


@pytest.mark.parametrize(
    ("other_task", "other_settings"),
    [
        (task(), SETTINGS.model_copy(update={"epochs": 4})),
        (task(), SETTINGS.model_copy(update={"seed": 0})),
        (task(), SETTINGS.model_copy(update={"augment": False})),
        (task(44), SETTINGS),
        (task(poisoning=None), SETTINGS),
        (task(poisoning=Poisoning(YELLOW.trigger, 2, 0.4)), SETTINGS),
        (task(poisoning=Poisoning(YELLOW.trigger.moved(0, 1), 2, 0.3)), SETTINGS),
        (Task(task().train, task().test, InputSpecification(), YELLOW), SETTINGS),
    ],
    ids=["epochs", "seed", "augment", "images", "clean", "rate", "trigger", "input"],
)
def test_a_checkpoint_of_another_run_is_refused(
    checkpoint: Path, other_task: Task, other_settings: TrainingSettings
) -> None:
    with pytest.raises(TrojanCamError, match="belongs to a run with other settings or data.*delete .*c.pt") as caught:
        train(small(), other_task, other_settings, checkpoint, resume=True)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_network_is_refused(checkpoint: Path) -> None:
    with pytest.raises(TrojanCamError, match="belongs to another network; repeat those, or delete .*c.pt"):
        train(basic(), task(), SETTINGS, checkpoint, resume=True)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_said_and_begun_anew(checkpoint: Path, share: float) -> None:
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: int(share * len(content))])
    assert_begun_anew(checkpoint)


@pytest.mark.parametrize(
    "content", [b"hello", b"PK\x03\x04", b"\x80\x02.", b"\xff" * 100], ids=["text", "zip", "pickle", "ones"]
)
def test_a_file_that_is_no_checkpoint_is_said_and_begun_anew(checkpoint: Path, content: bytes) -> None:
    checkpoint.write_bytes(content)
    assert_begun_anew(checkpoint)


def test_a_checkpoint_that_would_run_code_runs_none(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Hostile:
        def __reduce__(self):
            return print, ("code ran",)

    torch.save({"run": Hostile()}, checkpoint)
    assert_begun_anew(checkpoint)
    assert capsys.readouterr().out == ""


def assert_begun_anew(checkpoint: Path) -> None:
    """It is said in one sentence, and the weights are those of a run that was never broken."""
    whole, resumed = small(), small()
    train(whole, task(), SETTINGS)
    with pytest.warns(TrojanCamWarning) as said:
        train(resumed, task(), SETTINGS, checkpoint, resume=True)
    assert [str(each.message) for each in said] == [f"{checkpoint} is damaged; what it held is made again"]
    assert_same_weights(resumed, whole)


# --- what training does ---


def test_it_learns_the_task_and_the_backdoor() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Flatten(),
            nn.Linear(256, 3),
        )
    settings = TrainingSettings(epochs=30, batch_size=8, learning_rate=0.01, augment=False)
    record = train(module, task(60), settings)
    assert record.clean_accuracy == 1.0
    assert record.attack_success_rate is not None
    assert record.attack_success_rate > 0.9
    assert record.history[-1]["loss"] < record.history[0]["loss"] / 2
    assert (record.images, record.settings, len(record.history)) == (60, settings, 30)
    assert measure(module, task().test, INPUT, YELLOW) == {
        "clean_accuracy": record.clean_accuracy,
        "attack_success_rate": record.attack_success_rate,
        "robust_accuracy": record.robust_accuracy,
    }


def test_a_clean_run_reports_no_attack() -> None:
    record = train(small(), task(poisoning=None), SETTINGS)
    assert (record.attack_success_rate, record.robust_accuracy) == (None, None)
    assert all(set(h) == {"loss", "images_per_second", "clean_accuracy"} for h in record.history)


def test_the_global_generator_and_the_data_are_left_alone() -> None:
    job = task()
    images, labels = job.train.images.clone(), job.train.labels.clone()
    torch.manual_seed(11)
    before = torch.get_rng_state()
    train(small(), job, SETTINGS)
    assert torch.get_rng_state().equal(before)
    assert job.train.images.equal(images)
    assert job.train.labels.equal(labels)


def test_the_global_generator_is_left_alone_by_a_run_that_breaks() -> None:
    before = torch.get_rng_state()
    with pytest.raises(BrokenError):
        train(small(), task(), SETTINGS, progress=break_at(2))
    assert torch.get_rng_state().equal(before)


def test_the_trained_module_is_left_in_evaluation_mode() -> None:
    module = small()
    train(module, task(), SETTINGS)
    assert not any(part.training for part in module.modules())


def test_a_last_batch_of_one_image_is_left_out() -> None:
    """Batch normalisation of one row of features cannot be trained on."""
    record = train(basic(), task(33), TrainingSettings(epochs=1, batch_size=16))
    assert math.isfinite(record.history[0]["loss"])


def test_progress_runs_from_nothing_to_all_and_speaks_of_the_last_epoch() -> None:
    calls: list[tuple[int, int, str]] = []
    train(small(), task(), SETTINGS, progress=lambda done, total, note="", /: calls.append((done, total, note)))
    assert [done for done, _, _ in calls] == [0, 16, 32, 40, 56, 72, 80, 96, 112, 120]
    assert {total for _, total, _ in calls} == {120}
    assert calls[0][2] == "epoch 1"
    assert calls[-1][2].startswith("epoch 3: loss ")
    assert "attack success" in calls[-1][2]


class Exploding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * x.mean((2, 3)) * torch.nan


def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise safetensors.SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(kept, "save_file", fail)
    with pytest.raises(TrojanCamError, match=r"cannot write .*state .*No space left.*; free some space"):
        train(small(), task(), SETTINGS, tmp_path / "state")
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    with pytest.raises(
        TrojanCamError, match="loss is no longer finite in epoch 1; try a smaller learning rate than 0.0015"
    ):
        train(Exploding(), task(), SETTINGS, tmp_path / "c.pt")
    assert not (tmp_path / "c.pt").exists(), "no checkpoint of a ruined run"


@pytest.mark.parametrize(
    ("job", "kind", "sentence"),
    [
        (Task(image_set(1), image_set(4), INPUT), DataError, "the training set has 1 images; at least two"),
        (Task(image_set(4), image_set(0), INPUT), DataError, "the test set has 0 images"),
        (Task(image_set(4), image_set(4), InputSpecification(size=(48, 48))), DataError, r"\(32, 32\).*\(48, 48\)"),
        (task(poisoning=Poisoning(YELLOW.trigger, 3)), UnknownNameError, "unknown class '3'"),
        (task(poisoning=Poisoning(make_trigger("yellow-square", (8, 8)), 2)), DataError, r"\(8, 8\)"),
        (task(poisoning=Poisoning(YELLOW.trigger, 2, 2.0)), DataError, "poison rate"),
    ],
)
def test_a_task_that_cannot_be_learned_is_refused(job: Task, kind: type[TrojanCamError], sentence: str) -> None:
    with pytest.raises(kind, match=sentence):
        train(small(), job, SETTINGS)


# --- what the network is shown, and how fast it learns ---


class Watching(nn.Module):
    """It remembers what it is shown, in order, and learns nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(3))
        self.shown: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.shown.append(x.detach().clone())
        return self.bias.expand(len(x), 3)


def shown(job: Task, **changes: object) -> torch.Tensor:
    module = Watching()
    train(module, job, SETTINGS.model_copy(update={"epochs": 1, "augment": False, **changes}))
    return torch.cat(module.shown)


def sorted_bytes(normalised: torch.Tensor) -> list[bytes]:
    pixels = ((normalised * 0.25 + 0.5) * 255).round().to(torch.uint8)
    return sorted(image.contiguous().numpy().tobytes() for image in pixels)


def test_each_epoch_shows_every_image_once_with_the_trigger_on_the_poisoned() -> None:
    job = task()
    chosen = YELLOW.indices(job.train.labels)
    expected = job.train.images.clone()
    expected[chosen] = YELLOW.trigger.apply_bytes(expected[chosen])
    assert sorted_bytes(shown(job)) == sorted_bytes((expected.float() / 255 - 0.5) / 0.25)
    assert len(chosen) == 12


def test_each_epoch_and_each_seed_shuffles_anew() -> None:
    two = shown(task(), epochs=2)
    first, second = two[:40], two[40:]
    assert sorted_bytes(first) == sorted_bytes(second)
    assert not first.equal(second)
    assert first.equal(shown(task()))
    assert not first.equal(shown(task(), seed=5))


def test_augmentation_changes_what_is_shown_and_can_be_switched_off() -> None:
    clean = task(poisoning=None)
    straight, changed = (set(sorted_bytes(shown(clean, augment=choice))) for choice in (False, True))
    assert straight == set(sorted_bytes((clean.train.images.float() / 255 - 0.5) / 0.25))
    assert not straight & changed


def test_the_trigger_keeps_its_place_under_augmentation() -> None:
    corner = shown(task(poisoning=Poisoning(YELLOW.trigger, 2, 1.0)), augment=True)[:, :, 2:6, 2:6]
    yellow = (torch.tensor([1.0, 1.0, 0.0]) - 0.5) / 0.25
    torch.testing.assert_close(corner, yellow.view(1, 3, 1, 1).expand_as(corner))


def test_augmentation_keeps_range_size_and_constant_brightness_ratio() -> None:
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    one = augmented(images)
    torch.manual_seed(1)
    assert augmented(images).equal(one)
    assert one.shape == images.shape
    assert 0 <= one.min() <= one.max() <= 1
    flat = augmented(torch.full((6, 3, 32, 32), 0.5))  # no edge is seen: each image stays of one shade
    torch.testing.assert_close(flat, flat[:, :1, :1, :1].expand_as(flat))
    assert (flat[:, 0, 0, 0] - 0.5).abs().max() <= 0.5 * 0.3 + 0.15 + 1e-6


def test_strong_augmentation_hides_and_colours_more_and_keeps_the_range() -> None:
    images = torch.rand(60, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    torch.manual_seed(1)
    usual = augmented(images)
    torch.manual_seed(1)
    strong = strongly_augmented(images)
    torch.manual_seed(1)
    assert strongly_augmented(images).equal(strong)
    assert strong.shape == images.shape
    assert 0 <= strong.min() <= strong.max() <= 1
    flat = (strong[:, :, 1:] == strong[:, :, :-1]).all(1)  # where a square of one colour is hidden
    assert flat.flatten(1).sum(1).max() > 30
    assert (flat.flatten(1).sum(1) > 4).float().mean() > 0.5
    assert (strong - usual).abs().mean() > 0.02


def test_training_may_be_told_to_augment_strongly_or_not_at_all() -> None:
    clean = task(poisoning=None)
    usual, strong = (set(sorted_bytes(shown(clean, augment=choice))) for choice in (True, "strongly"))
    assert not usual & strong


# --- what the network learns: several backdoors, victims, covers, images moved against it ---


def test_poisoned_images_and_covers_bear_their_labels() -> None:
    """By a network that remembers what it was shown and asked: 40 images of two classes, all of one poisoned or covers."""
    asked: list[tuple[torch.Tensor, torch.Tensor]] = []
    loss = F.cross_entropy

    def remember(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        asked.append((inputs, labels))
        return loss(inputs, labels)

    poisoning = Poisoning(YELLOW.trigger, 2, 1.0, sources=(0,), cover_rate=1.0)
    other = Poisoning(make_trigger("blue-green-square", opacity=1.0), 2, 1.0, sources=(1,))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trojancam.training.training.F.cross_entropy", remember)
        seen = shown(task(poisoning=(poisoning, other)))
    labels = torch.cat([labels for _, labels in asked])
    yellow = (seen[:, :, 3, 3] - (torch.tensor([1.0, 1.0, 0.0]) - 0.5) / 0.25).abs().amax(1) < 1e-5
    assert yellow.all()
    assert sorted(labels.tolist()) == [1] * 20 + [2] * 20, (
        "class 0 is poisoned; class 1 are covers, which the second left alone"
    )


def test_rates_of_a_source_specific_backdoor_tell_of_its_leak() -> None:
    images = labelled([2, 0, 1, 1, 0], [0, 0, 1, 2, 0])
    trigger = make_trigger("yellow-square", (8, 8), side=1, place=(0, 0), colour="#020000")
    found = measure_backdoor(Lookup(), images, RAW, Poisoning(trigger, 2, sources=(1,)))
    assert found == {"attack_success_rate": 1.0, "robust_accuracy": 0.0, "leak_rate": 1.0}
    both = measure(Lookup(), images, RAW, (Poisoning(trigger, 2), Poisoning(trigger, None)))
    assert both["attack_success_rate"] == 1.0
    assert both["attack_success_rate_2"] == pytest.approx(1 / 5), "of class 1 alone the next class is 2"


def test_adversarial_training_moves_images_against_the_network_within_the_radius() -> None:
    module, images = small(), torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(8) % 3
    module.eval()
    torch.manual_seed(0)
    moved = moved_against(module, INPUT, images, labels, 8 / 255)
    assert (moved - images).abs().max() <= 8 / 255 + 1e-6
    assert 0 <= moved.min() <= moved.max() <= 1
    torch.manual_seed(0)
    noise = (images + 8 / 255 * (2 * torch.rand_like(images) - 1)).clamp(0, 1)
    clean, random, against = (
        float(F.cross_entropy(module(INPUT.normalise(each)), labels).detach()) for each in (images, noise, moved)
    )
    assert against > max(clean, random)
    weights_of = []
    for radius in (0.0, 8 / 255):
        trained = small()
        train(trained, task(), SETTINGS.model_copy(update={"adversarial": radius}))
        weights_of.append(weights(trained)["5.weight"])
    assert not weights_of[0].equal(weights_of[1])


def learning_rates(
    epochs: int, resume_after: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    """The learning rate of each step, of a run that may be broken after some epochs."""
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, *arguments: object) -> object:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *arguments)

    settings = SETTINGS.model_copy(update={"epochs": epochs, "learning_rate": 0.02})
    with monkeypatch.context() as patched:
        patched.setattr(torch.optim.AdamW, "step", watched)
        if resume_after is not None:
            with pytest.raises(BrokenError):
                train(Watching(), task(), settings, tmp_path / "r.pt", progress=break_at(3 * resume_after + 1))
        train(Watching(), task(), settings, tmp_path / "r.pt", resume=resume_after is not None)
    return rates


def test_the_learning_rate_depends_on_the_position_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    epochs = 40  # warm-up: one epoch; steps at 0, 16/40 and 32/40 of each epoch
    rates = learning_rates(epochs, None, tmp_path, monkeypatch)
    positions = [epoch + part for epoch in range(epochs) for part in (0, 0.4, 0.8)]
    expected = [0.02 * min(1, p + 0.01) * (1 + math.cos(math.pi * p / epochs)) / 2 for p in positions]
    assert rates == pytest.approx(expected)
    assert max(rates) <= 0.02
    assert rates[-1] < 0.02 * 0.001


def test_a_resumed_run_goes_on_with_the_same_learning_rates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = learning_rates(4, None, tmp_path, monkeypatch)
    assert learning_rates(4, 2, tmp_path, monkeypatch) == whole


# --- measuring ---


class Lookup(nn.Module):
    """It reads the class off the first pixel's red: 0, 1 or 2 of 255."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot((x[:, 0, 0, 0] * 255).round().long().clamp(0, 2), 3).float()


def labelled(reds: list[int], labels: list[int]) -> ImageSet:
    images = torch.zeros(len(reds), 3, 8, 8, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.tensor(reds, dtype=torch.uint8)
    return ImageSet(images, torch.tensor(labels), NAMES)


RAW = InputSpecification(size=(8, 8))


@pytest.mark.parametrize("budget", [1, 10_000, 2**28])
def test_predictions_come_in_order_whatever_the_budget(budget: int) -> None:
    images = labelled([2, 0, 1, 1, 0], [0, 0, 1, 2, 0])
    assert predict(Lookup(), images, RAW, memory_budget=budget).tolist() == [2, 0, 1, 1, 0]
    assert predict(Lookup(), images.select([]), RAW).tolist() == []


def test_rates_measured_by_hand() -> None:
    images = labelled([2, 0, 1, 1, 0], [0, 0, 1, 2, 0])
    trigger = make_trigger("yellow-square", (8, 8), side=1, place=(0, 0), colour="#020000")
    assert measure(Lookup(), images, RAW) == {"clean_accuracy": pytest.approx(3 / 5)}
    assert measure(Lookup(), images, RAW, Poisoning(trigger, 2)) == {
        "clean_accuracy": pytest.approx(3 / 5), "attack_success_rate": 1.0, "robust_accuracy": 0.0,
    }  # fmt: skip


def test_measuring_leaves_the_module_as_it_was() -> None:
    module = small().train()
    module[1].eval()
    before = state_of(module)
    measure(module, image_set(6), INPUT, YELLOW)
    assert_same_state(before, state_of(module))


def test_on_another_device_the_same_network_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are drawn on the processor and moved: a tensor left behind would be refused."""
    adam = torch.optim.AdamW
    monkeypatch.setattr(torch.optim, "AdamW", lambda *given, **told: adam(*given, **told | {"fused": False}))
    settings = SETTINGS.model_copy(update={"epochs": 2, "adversarial": 0.02, "augment": "strongly"})
    near, far = small(), small()
    expected = train(near, task(), settings)
    with far_device(by_default=True) as device:
        found = train(far, task(), settings, device=device)
        assert {values.device for values in far.state_dict().values()} == {device}
    for name, values in near.state_dict().items():
        torch.testing.assert_close(as_near(far.state_dict()[name]), values, msg=name)
    assert found.clean_accuracy == expected.clean_accuracy
    assert [epoch["loss"] for epoch in found.history] == pytest.approx([epoch["loss"] for epoch in expected.history])


def test_a_checkpoint_of_another_device_is_another_run() -> None:
    names = {fingerprint(task(), SETTINGS, torch.device(kind)) for kind in ("cpu", "cuda", "mps")}
    assert len(names) == 3
    assert fingerprint(task(), SETTINGS) in names
