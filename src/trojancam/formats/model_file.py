"""A model file that is there: every reader asks here, and so do commands before they import anything large."""

import shlex
from io import BufferedIOBase
from pathlib import Path

from trojancam.errors import ModelError, Remedy


def check_there(path: Path) -> None:
    """Refuse what is no file; pipes and devices, which may never end, are not touched.

    Raises:
        ModelError: if there is no such file, or it is a folder.
    """
    reason = "it is no file"
    try:
        if path.is_file():
            return
        if path.is_dir():
            refuse_folder(path)
        path.lstat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise ModelError(f"there is no model file {path} that can be read ({reason})", Remedy.MODEL_FILE)


def opened_file(path: Path) -> BufferedIOBase:
    """The file, opened for reading.

    Raises:
        ModelError: if there is no such file, or it cannot be read.
    """
    check_there(path)
    try:
        return path.open("rb")
    except OSError as error:
        raise ModelError(f"cannot read {path} ({error.strerror}); check its permissions") from None


def refuse_folder(path: Path) -> None:
    """A SavedModel is a folder, and a program of TensorFlow's: say how it becomes a file that is read.

    Raises:
        ModelError: always.
    """
    if (path / "saved_model.pb").is_file():
        raise ModelError(
            f"{path} is a TensorFlow SavedModel, which is a program; convert it: python -m tf2onnx.convert --saved-model "
            f"{shlex.quote(str(path))} --output {shlex.quote(path.resolve().name)}.onnx"
        )
    raise ModelError(f"{path} is a folder, not a model file; give the file in it")
