"""Files that are whole or absent: atomic writes, and the folder for what can be made again."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs
import safetensors

from trojancam.errors import DataError, TrojanCamError
from trojancam.text import as_text, with_article


def as_path(given: object, what: str, remedy: str = "give that") -> Path:
    """The path of a file or folder, `what` it is in words.

    Raises:
        DataError: if something else is given, such as a module or what was read from the file.

    >>> as_path("net.pt2", "a model file").suffix
    '.pt2'
    """
    if isinstance(given, str | os.PathLike):
        return Path(given)
    kind = with_article(type(given).__name__)
    raise DataError(f"{what} is named by its path, a string or a Path, not by {kind}; {remedy}")


def cache_folder(*parts: str) -> Path:
    """The folder for what can be made again: `$TROJANCAM_CACHE`, else the system's place for caches.

    Raises:
        TrojanCamError: if it cannot be created.
    """
    root = os.environ.get("TROJANCAM_CACHE") or platformdirs.user_cache_dir("trojancam", appauthor=False)
    return writable_folder(Path(root).joinpath(*parts), remedy="set TROJANCAM_CACHE to a folder you can write to")


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits; errors of the system pass."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def writable_folder(folder: Path, remedy: str = "choose a folder you can write to") -> Path:
    """Create `folder` if need be and make sure that files can be written in it.

    Raises:
        TrojanCamError: if it cannot be created, is no folder, or is read-only.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise TrojanCamError(f"cannot write to the folder {folder} ({error.strerror}); {remedy}") from None


def check_new(path: Path, option: str = "") -> None:
    """Refuse to overwrite what was made before; `option` says where another name is given.

    Raises:
        TrojanCamError: if the file exists.
    """
    if path.exists():
        raise TrojanCamError(f"{path} exists already; remove it or choose another name{option and f' with {option}'}")


@contextmanager
def prepared_folder(folder: Path) -> Iterator[Path]:
    """As `writable_folder`, before long work; a folder that was made for it goes again if the work fails with nothing written.

    Raises:
        TrojanCamError: if it cannot be created, is no folder, or is read-only.
    """
    there_before = folder.exists()
    writable_folder(folder)
    try:
        yield folder
    except BaseException:
        if not there_before:
            with suppress(OSError):  # it is not empty
                folder.rmdir()
        raise


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Write to the path this yields; it takes the place of `path` only when the block ends without an error.

    A killed run leaves the old file, or none, and never half a one. The temporary file keeps the suffix of `path`,
    for the sake of writers that go by it.

    Raises:
        TrojanCamError: if the folder of `path` cannot be written to.
    """
    folder = writable_folder(path.parent)
    handle, name = tempfile.mkstemp(dir=folder, prefix=f".{as_text(path.stem)}-", suffix=as_text(path.suffix))
    os.close(handle)
    partial = Path(name)
    try:
        with named_in_text(partial) as shown:
            yield shown
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    except (OSError, safetensors.SafetensorError) as error:  # the latter wraps a full disk, among others
        reason = getattr(error, "strerror", None) or error
        raise TrojanCamError(f"cannot write {path} ({reason}); free some space or choose another place") from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def named_in_text(path: Path) -> Iterator[Path]:
    """The file under a path that is text: its own, else one through a link. Libraries written in Rust take no other.

    Where the folder's name is no text the link leads to the folder, so that a file in it can be written, too.
    """
    if as_text(path) == str(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="trojancam-") as folder:
        link = Path(folder, "link")
        if as_text(path.name) == path.name:
            link.symlink_to(path.parent.absolute(), target_is_directory=True)
            yield link / path.name
        else:
            link.symlink_to(path.absolute())
            yield link


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
