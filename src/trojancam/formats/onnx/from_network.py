"""A network as an ONNX file, by PyTorch's own exporter."""

import importlib.util
import json
from pathlib import Path
from typing import Any

from trojancam.errors import ModelError, Remedy
from trojancam.formats.onnx.writing_back import write_model
from trojancam.network.network import Network


def check_exporter() -> None:
    """Refuse to begin where the packages that write ONNX files are missing.

    Raises:
        ModelError: if one is.
    """
    for needed in ("onnx", "onnxscript"):
        if importlib.util.find_spec(needed) is None:
            raise ModelError("writing ONNX files needs the extra 'onnx'", Remedy.INSTALL, detail="'trojancam[onnx]'")


def write_network(network: Network, out: Path) -> None:
    """Write a network as an ONNX file that takes any number of images and gives `logits`; the class names are in its metadata.

    It takes images as the network does: normalised, if the network is fed so.

    Raises:
        ModelError: if a package is missing, or the graph has something that ONNX does not know.
        TrojanCamError: if the file cannot be written.
    """
    check_exporter()
    import torch

    with network.exported("an ONNX file") as program:
        made: Any = torch.onnx.export(
            program, (), None, input_names=["images"], output_names=["logits"], dynamo=True, verbose=False
        )
    model = made.model_proto
    names = model.metadata_props.add()
    names.key, names.value = "class_names", json.dumps(network.class_names)
    write_model(model, out)
