"""Inert names: what a pickle may name without being dangerous to anybody who loads it.

Checkpoints hold more than weights: settings, counters, the random generator's state. Such values are read on paper, as data;
nothing is imported for them.
"""

from functools import cache

_BUILTINS = "set frozenset complex slice range xrange object int float bool str list dict tuple"
_NUMPY = """
    dtype ndarray core.multiarray.scalar core.multiarray._reconstruct core.numeric._frombuffer _core.multiarray.scalar
    _core.multiarray._reconstruct _core.numeric._frombuffer bool_ bool int8 int16 int32 int64 uint8 uint16 uint32 uint64
    float16 float32 float64 longdouble
"""
_PATHS = "PosixPath WindowsPath PurePosixPath PureWindowsPath Path PurePath"
_DATES = "datetime date time timedelta timezone"
INERT = frozenset(
    [
        *(f"builtins.{name}" for name in _BUILTINS.split()),
        *(f"numpy.{name}" for name in _NUMPY.split()),
        *(f"{module}.{name}" for module in ("pathlib", "pathlib._local") for name in _PATHS.split()),
        *(f"datetime.{name}" for name in _DATES.split()),
        *(f"collections.{name}" for name in ("OrderedDict", "defaultdict", "Counter", "deque")),
        *("decimal.Decimal", "uuid.UUID"),
        *("argparse.Namespace", "types.SimpleNamespace", "copyreg._reconstructor", "copy_reg._reconstructor"),
    ]
)


def is_harmless(name: str) -> bool:
    """Whether a name only makes data: one of these, or one that `torch.load(..., weights_only=True)` takes from any file."""
    modern = name.replace("__builtin__.", "builtins.", 1)
    return modern in INERT or modern in _allowed()


@cache
def _allowed() -> frozenset[str]:
    from torch._weights_only_unpickler import _get_allowed_globals

    return frozenset(_get_allowed_globals())
