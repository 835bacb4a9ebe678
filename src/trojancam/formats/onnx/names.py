"""Names for the modules of a network that came from ONNX: those that its author gave to the layers."""

import keyword
import re
from collections import Counter
from collections.abc import Iterable, Sequence

# What exporters append to a layer's path for the operation itself.
_OPERATIONS = re.compile(
    r"(conv|conv[123]d|convolution|convtranspose|depthwise|depthwise_conv2d|depthwiseconv2dnative|separable_conv2d|"
    r"biasadd|gemm|matmul|dense|batchnormalization|fusedbatchnorm(v3)?|add|prelu)(_\d+)?",
    re.IGNORECASE,
)
_DEEPEST = 16
_WEIGHT = re.compile(r"(.+)\.(weight|weight_v|kernel|bias)")


def layer_names(layers: Sequence[tuple[str, str, str]]) -> list[str]:
    """Dotted paths, all different, for layers given by the names of operation, node and weights.

    PyTorch's weights bear the path of their module. Else the path is in the node's name: `/block/conv/Conv`, or
    `model/conv/Conv2D`, in which the model comes first and is left out.

    >>> layer_names([("Conv", "/block/conv/Conv", "onnx::Conv_12"), ("Conv", "node_conv2d", "features.0.weight")])
    ['block.conv', 'features.0']
    >>> layer_names([("Conv", "net/first/Conv2D", "k1"), ("Conv", "net/second/Conv2D", "k2"), ("Conv", "", "kernel:0")])
    ['first', 'second', 'kernel_0']
    """
    paths = [_path(*layer) for layer in layers]
    named_by_path = {index for index, (_, node, weight) in enumerate(layers) if _by_path(node, weight)}
    model = _common(paths[index] for index in named_by_path)
    kept = [parts[model:] if index in named_by_path else parts for index, parts in enumerate(paths)]
    return _all_different([".".join(parts) for parts in kept])


def _by_path(node: str, weight: str) -> bool:
    """Whether the name is a path that begins with the model, as TensorFlow's do."""
    return "/" in node and not node.startswith("/") and not _WEIGHT.fullmatch(weight)


def _path(operation: str, node: str, weight: str) -> list[str]:
    module = _WEIGHT.fullmatch(weight)
    if module and not weight.startswith("onnx::"):
        return _parts(module[1].split("."))
    if node:
        parts = _parts(_without_repetition(node.split("/")))
        return parts[:-1] if len(parts) > 1 and _OPERATIONS.fullmatch(parts[-1]) else parts
    return _parts([weight or operation])


def _without_repetition(parts: Iterable[str]) -> list[str]:
    """PyTorch writes `/features/features.0/Conv`: a part may say again what it lies in."""
    kept: list[str] = []
    for part in parts:
        if kept and part.startswith(f"{kept[-1]}."):
            kept.pop()
        kept.append(part)
    return [piece for part in kept for piece in part.split(".")]


def _parts(parts: Iterable[str]) -> list[str]:
    """Parts that can be names of attributes."""
    cleaned = [re.sub(r"\W+", "_", part).strip("_")[:80] for part in parts]
    usable = (f"{part}_" if keyword.iskeyword(part) else part for part in cleaned)  # graphs write them into their code
    return [part for part in usable if part and part != "StatefulPartitionedCall"][-_DEEPEST:] or ["layer"]


def _common(paths: Iterable[Sequence[str]]) -> int:
    """How many parts all paths begin with; the last part of each is its own."""
    paths = list(paths)
    shortest = min((len(path) - 1 for path in paths), default=0)
    alike = (len({path[place] for path in paths}) == 1 for place in range(shortest))
    return next((place for place, same in enumerate(alike) if not same), shortest)


def _all_different(names: Sequence[str]) -> list[str]:
    """The names, those that were there before with a number."""
    taken, calls, different = set(names), Counter[str](), list[str]()
    for name in names:
        calls[name] += 1
        candidate = name if calls[name] == 1 else f"{name}_{calls[name]}"
        while calls[name] > 1 and candidate in taken:
            calls[name] += 1
            candidate = f"{name}_{calls[name]}"
        taken.add(candidate)
        different.append(candidate)
    return different
