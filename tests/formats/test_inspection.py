"""What there is to know of a model file from outside: its format, what it says of its making, what it would run or reach for."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
from onnx import ModelProto
from tests.formats import hostile_keras, hostile_onnx, hostile_pytorch
from tests.formats.hostile_left_alone import OTHERS

from trojancam.errors import ModelError
from trojancam.formats.inspection import LONGEST, MOST, Inspection, inspection, sha256
from trojancam.formats.keras.embedded_code import code_in_config, files_in_config


def harmless(found: Inspection) -> bool:
    return (found.would_run, found.would_reach, found.problems) == ((), (), ())


def test_a_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    safetensors.torch.save_file({"a": torch.ones(2)}, path, {"format": "pt", "author": "x" * 1000})
    found = inspection(path)
    assert (found.format, found.bytes) == ("safetensors", path.stat().st_size)
    assert found.origin == {"format": "pt", "author": "x" * LONGEST}
    assert harmless(found)
    assert sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "content"), [("m.pt", hostile_pytorch.plain_zip), ("m.pt2", hostile_pytorch.plain_program)]
)
def test_files_of_pytorch(tmp_path: Path, name: str, content: object) -> None:
    (tmp_path / name).write_bytes(content())  # type: ignore[operator]
    found = inspection(tmp_path / name)
    if name == "m.pt":
        assert (found.format, found.origin) == ("PyTorch weights", {"layout version": "3"})
    else:
        assert (found.format, found.origin) == ("exported program", {"made by PyTorch": torch.__version__})
    assert harmless(found)


def test_onnx(tmp_path: Path) -> None:
    def change(model: ModelProto) -> None:
        model.producer_name, model.producer_version = "maker", "1.2"
        model.metadata_props.add(key="note", value="hello")

    found = inspection(hostile_onnx.edited(change)(tmp_path))
    assert found.format == "ONNX"
    assert found.origin == {"made by": "maker 1.2", "ONNX version": "9", "operator set": "18", "note": "hello"}
    assert harmless(found)


@pytest.mark.parametrize(
    ("name", "reaches"),
    [
        ("data at an absolute path", "the data file '/etc/passwd', outside its folder"),
        ("data in the folder above", "the data file '../secret.bin', outside its folder"),
        ("data behind a symlink", "the data file 'weights.bin', outside its folder"),
        ("data that is missing", "the data file 'missing.bin'"),
        ("data with a name cut by a zero", "the data file 'weights.bin\\x00.txt', outside its folder"),
    ],
)
def test_data_files_of_onnx(tmp_path: Path, name: str, reaches: str) -> None:
    (tmp_path / "folder").mkdir()
    found = inspection(hostile_onnx.HOSTILE[name](tmp_path / "folder"))
    assert found.would_reach == (reaches,)


def test_keras(tmp_path: Path) -> None:
    modern, old = (inspection(path) for path in hostile_keras.harmless(tmp_path))
    assert modern.format == old.format == "Keras"
    assert modern.origin == {"saved by Keras": "3.9.0", "on": "2025-01-01@00:00:00"}
    assert old.origin == {"saved by Keras": "2.11.0"}
    for found in (modern, old):
        assert harmless(found)


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("lambda keras", ["the Keras layer Lambda", "a function in marshalled bytecode"]),
        ("lambda h5", ["the Keras layer Lambda"]),
        ("lambda of a command", ["the Keras layer Lambda", "os.system"]),
        ("lambda of keras own tools", ["the Keras layer Lambda", "keras.utils.get_file"]),
        ("command as a layer", ["os.system"]),
        ("command as the model", ["subprocess.Popen"]),
        ("command as an initializer", ["builtins.exec"]),
        ("layer of its own", ["package.layers.Conv2D", "the custom object package>Conv2D"]),
        ("model of its own", ["the custom object Custom>Net"]),
        ("pickled module", ["the Keras layer TorchModuleWrapper"]),
        ("safety switched off", ["keras.config.enable_unsafe_deserialization", "the Keras layer Lambda"]),
    ],
)
def test_code_in_keras_files(tmp_path: Path, name: str, runs: list[str]) -> None:
    found = inspection(hostile_keras.HOSTILE[name](tmp_path, tmp_path / "canary"))
    assert list(found.would_run[: len(runs)]) == runs
    assert not (tmp_path / "canary").exists()


def test_files_that_keras_would_read(tmp_path: Path) -> None:
    found = inspection(hostile_keras.HOSTILE["words from a file in h5"](tmp_path, tmp_path / "canary"))
    assert found.would_reach == ("the file '/etc/passwd'",)
    assert files_in_config('{"vocabulary": ["a", "b"]}') == ()


def test_what_is_no_configuration_names_nothing() -> None:
    for text in ("", "[" * 100_000, "{}," * 1_000_000, '{"class_name": 3, "module": 4, "config": 5}', b"\xff"):
        assert code_in_config(text) == files_in_config(text) == ()


@pytest.mark.parametrize(
    ("name", "reaches"),
    [
        ("a member with an absolute path", "the member '/tmp/evil', outside"),
        ("a member of another folder", "the member 'archive/../../../tmp/evil', outside"),
        ("a member that is a link", "the member 'archive/link', a link"),
    ],
)
def test_members_that_lead_out_of_an_archive(tmp_path: Path, name: str, reaches: str) -> None:
    """The archive is refused; what it would have written is told all the same."""
    found = inspection(hostile_pytorch.HOSTILE[name](tmp_path, tmp_path / "canary"))
    assert len(found.would_reach) == 1
    assert found.would_reach[0].startswith(reaches)
    assert found.format == "unknown"
    assert len(found.problems) == 1


def test_code_beside_what_readers_look_at_is_named(tmp_path: Path) -> None:
    found = inspection(OTHERS["code in the sample inputs of a .pt2"](tmp_path, tmp_path / "canary"))
    assert found.would_run == ("posix.system",)


def test_lists_have_an_end(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pt", "w") as opened:
        for number in range(MOST + 10):
            opened.writestr(f"/evil/{number}", b"")
    found = inspection(tmp_path / "m.pt")
    assert len(found.would_reach) == MOST + 1
    assert found.would_reach[-1] == "and 10 more"
    assert json.loads(found.model_dump_json())["bytes"] == found.bytes


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for look in (inspection, sha256):
        for path in (tmp_path / "nowhere.pt", tmp_path, Path("/dev/zero")):
            with pytest.raises(ModelError, match="there is no model file|is a folder, not a model file"):
                look(path)
