"""Model files: what is written comes back to the last bit; what is damaged or foreign is refused in one sentence."""

import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from tests.nets import images_for, randomised
from torch import nn

import trojancam
from trojancam.architectures import architecture
from trojancam.attacks.patch import make_trigger
from trojancam.attacks.trigger import Trigger
from trojancam.errors import ModelError, TrojanCamError
from trojancam.formats import safetensors as files
from trojancam.formats.safetensors import CARD, read_card, read_model, save_model
from trojancam.formats.weights import reader as state_dicts
from trojancam.network.card import BackdoorRecord, ModelCard, TrainingRecord, TrainingSettings
from trojancam.network.network import Network
from trojancam.opening.open import load

CLASSES = ("stop", "yield", "Überholverbot")


def module() -> nn.Module:
    torch.manual_seed(0)
    return randomised(architecture("basic").build(3))


def card() -> ModelCard:
    return ModelCard(
        architecture="basic",
        class_names=CLASSES,
        input=architecture("basic").input,
        training=TrainingRecord(
            data="made up", images=10, settings=TrainingSettings(), clean_accuracy=0.1 + 0.2, history=[{"loss": 1 / 3}]
        ),
        poisoning=BackdoorRecord(
            trigger=make_trigger("yellow-square").to_json(), target_class=1, poison_rate=0.1, seed=3, poisoned_images=1
        ),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "basic.safetensors"
    save_model(path, module(), card())
    return path


def refused(path: Path, sentence: str) -> None:
    """Every way of reading refuses it, with one sentence for people."""
    for read in (read_model, read_card, load):
        with pytest.raises(ModelError, match=sentence) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert path.name in str(caught.value)


def header_and_body(path: Path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def rewrite(path: Path, change: Callable[[dict], None]) -> None:
    """The same file with another card."""
    header, body = header_and_body(path)
    record = json.loads(header["__metadata__"][CARD])
    change(record)
    header["__metadata__"][CARD] = json.dumps(record)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


# --- the round trip ---


def test_weights_and_card_come_back_to_the_last_bit(path: Path) -> None:
    read, read_back = read_model(path)
    expected = module().state_dict()
    assert list(read.state_dict()) == list(expected)
    for name, tensor in read.state_dict().items():
        assert tensor.dtype == expected[name].dtype
        assert tensor.equal(expected[name]), name
    assert read_back == card().model_copy(update={"made_by": f"trojancam {trojancam.__version__}"})
    assert read_card(path) == read_back
    assert not any(part.training for part in read.modules())


def test_the_trigger_in_a_card_is_the_one_that_was_planted(path: Path) -> None:
    poisoning = read_card(path).poisoning
    assert poisoning is not None
    assert Trigger.from_json(poisoning.trigger).place.equal(make_trigger("yellow-square").place)


def test_a_card_of_old_told_of_one_backdoor_at_most(path: Path) -> None:
    record = json.loads(card().model_dump_json())
    (told,) = record.pop("backdoors")
    for name in ("attack", "settings", "sources", "permutation", "cover_images"):
        told.pop(name)
    told["trigger"].pop("family")
    old = ModelCard.model_validate_json(json.dumps(record | {"poisoning": told}))
    assert old.poisoning is not None
    assert old.backdoors == (old.poisoning,)
    assert Trigger.from_json(old.poisoning.trigger).place.equal(make_trigger("yellow-square").place)
    assert ModelCard.model_validate_json(json.dumps(record | {"poisoning": None})).backdoors == ()


def test_saving_leaves_the_module_as_it_was(tmp_path: Path) -> None:
    original = module().to(memory_format=torch.channels_last).train()
    strides = [p.stride() for p in original.parameters()]
    save_model(tmp_path / "m.safetensors", original, card())
    assert [p.stride() for p in original.parameters()] == strides
    assert original.training
    for name, tensor in read_model(tmp_path / "m.safetensors")[0].state_dict().items():
        assert tensor.equal(original.state_dict()[name])


def test_a_loaded_network_answers_as_the_module_that_was_saved(path: Path) -> None:
    net, direct = load(path), Network.from_module(module(), specification=architecture("basic").input)
    assert net(images_for(net, 3)).equal(direct(images_for(net, 3)))
    assert (net.name, net.class_names, net.input) == ("basic", CLASSES, architecture("basic").input)
    assert net.card is not None
    assert net.card.poisoning is not None


def test_a_file_is_safetensors_and_holds_no_code(path: Path) -> None:
    tensors = safetensors.torch.load_file(path)
    assert set(tensors) == set(module().state_dict())


def test_writing_again_replaces_the_file_and_leaves_no_other(path: Path) -> None:
    changed = module()
    nn.init.ones_(changed.dense_3.bias)
    save_model(path, changed, card())
    assert read_model(path)[0].dense_3.bias.tolist() == [1, 1, 1]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("bug")])
def test_a_failure_while_writing_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    before = path.read_bytes()

    def half(tensors: object, target: Path, metadata: object) -> None:
        Path(target).write_bytes(before[: len(before) // 2])
        raise error

    monkeypatch.setattr(files, "save_file", half)
    expected = TrojanCamError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        save_model(path, module(), card())
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(TrojanCamError, match="cannot write to the folder .*file"):
        save_model(tmp_path / "file" / "m.safetensors", module(), card())


# --- damaged and foreign files ---


def test_a_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere.safetensors", "there is no model file .*; check the path")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    for read in (read_model, read_card, load):
        with pytest.raises(ModelError, match="is a folder, not a model file; give the file in it"):
            read(tmp_path)


@pytest.mark.parametrize("kept", [0.0, 1e-5, 3e-5, 0.001, 0.01, 0.3, 0.9, 0.99999])
def test_a_truncated_file(path: Path, kept: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    refused(path, "is not a whole safetensors file")


def test_a_file_with_more_behind_its_end(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")
    refused(path, "is not a whole safetensors file")


def test_a_bit_that_flipped_in_the_header_gives_a_model_or_a_model_error(path: Path) -> None:
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    refusals = []
    for place in range(0, 8 + length, 97):
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 7)
        path.write_bytes(damaged)
        try:
            read_model(path)
        except ModelError as error:
            refusals.append(str(error))
    assert len(refusals) > 20
    assert not any("\n" in sentence for sentence in refusals)


@pytest.mark.parametrize("content", [b"", b"hello", b"x" * 10_000, b"\x80\x02}q\x00.", b"\xff" * 64], ids=repr)
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.safetensors").write_bytes(content)
    refused(tmp_path / "m.safetensors", "is not a whole safetensors file")


def test_a_zip_and_a_pickle_are_no_model_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.writestr("weights", "1" * 1000)
    refused(tmp_path / "m.zip", "is (not a whole safetensors file|an archive, but of no model of a known kind)")
    torch.save(module().state_dict(), tmp_path / "m.pt")
    refused(
        tmp_path / "m.pt",
        "(is not a whole safetensors file|holds weights without a network; say which with architecture=)",
    )


def test_a_file_that_only_calls_itself_weights_is_refused_for_that(tmp_path: Path) -> None:
    (tmp_path / "m.pt").write_text("a poem of some length")
    with pytest.raises(ModelError, match="is not a whole PyTorch file"):
        load(tmp_path / "m.pt")
    torch.save(module(), tmp_path / "m.pt")
    with pytest.raises(ModelError, match="holds a pickled module"):
        load(tmp_path / "m.pt")


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_file_without_a_card(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    safetensors.torch.save_file(module().state_dict(), tmp_path / "m.safetensors", metadata=metadata)
    refused(tmp_path / "m.safetensors", "has no TrojanCAM model card")


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "null", '{"architecture": "basic"}'])
def test_a_card_that_is_none(tmp_path: Path, text: str) -> None:
    safetensors.torch.save_file(module().state_dict(), tmp_path / "m.safetensors", metadata={CARD: text})
    refused(tmp_path / "m.safetensors", "the model card in .* is damaged or of a newer version")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda c: c.update(owner="nobody"), "newer version: owner: Extra inputs are not permitted"),
        (lambda c: c["input"].update(channels=4), "input.channels: Input should be 'rgb', 'bgr' or 'grey'"),
        (lambda c: c["input"].update(depth=4), "input.depth: Extra inputs"),
        (lambda c: c.update(format_version=2), "newer version: format_version: Input should be 1"),
        (lambda c: c.update(class_names=[]), "class_names: Tuple should have at least 1 item"),
        (lambda c: c["input"].update(std=[0, 1, 1]), "input.std.0: Input should be greater than 0"),
        (lambda c: c["input"].update(size=[32, 10**9]), "input.size.1: Input should be less than"),
        (lambda c: c["input"].update(mean=["nan", 0, 0]), "input.mean.0: Input should be a finite number"),
        (
            lambda c: c["training"].update(clean_accuracy="good"),
            "training.clean_accuracy: Input should be a valid number",
        ),
        (lambda c: c.update(architecture="basik"), "unknown architecture 'basik'.*did you mean 'basic'"),
        (lambda c: c.update(architecture="trojan1"), "do not fit the architecture 'trojan1'"),
        (lambda c: c.update(class_names=["a", "b"]), "do not fit the architecture 'basic'.*dense_3"),
    ],
)
def test_a_card_that_does_not_fit(path: Path, change: Callable[[dict], None], sentence: str) -> None:
    rewrite(path, change)
    refused(path, sentence)


def with_tensors(path: Path, **changed: torch.Tensor | None) -> None:
    """The same card over other tensors; None leaves one out."""
    tensors = {name.replace(".", "__"): tensor for name, tensor in module().state_dict().items()} | changed
    kept = {name.replace("__", "."): tensor for name, tensor in tensors.items() if tensor is not None}
    header, _ = header_and_body(path)
    safetensors.torch.save_file(kept, path, metadata=header["__metadata__"])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"dense_3__bias": None}, r"do not fit .*dense_3.bias is missing"),
        ({"dense_4__bias": torch.zeros(3)}, r"do not fit .*dense_4.bias has no place in it"),
        ({"dense_3__bias": torch.zeros(4)}, r"do not fit .*dense_3.bias is \(4,\) in the file"),
        ({"dense_3__bias": torch.tensor([0, torch.nan, 0])}, "the weights dense_3.bias in .* are not finite"),
        ({"dense_3__bias": torch.tensor([0, torch.inf, 0])}, "the weights dense_3.bias in .* are not finite"),
    ],
    ids=["missing", "too many", "shape", "nan", "infinite"],
)
def test_weights_that_do_not_fit(path: Path, changed: dict[str, torch.Tensor | None], sentence: str) -> None:
    with_tensors(path, **changed)
    refused(path, sentence)


def test_a_file_that_may_not_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(state_dicts.safetensors, "safe_open", denied)
    refused(path, "Permission denied")
