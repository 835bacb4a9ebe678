"""What is copied of an HDF5 file: attributes and arrays that HDF5 can hold, and a refusal of all else."""

from pathlib import Path

import h5py
import pytest

from trojancam.formats.keras.arrays import Listing, rewrite
from trojancam.formats.keras.plain_values import RefusedError


def test_attributes_are_copied(tmp_path: Path) -> None:
    (tmp_path / "none").touch()
    rewrite(tmp_path / "none", Listing({"a": {"layer_names": ["conv", "ä"], "empty": []}}, {}), tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as written:
        assert list(written["a"].attrs["layer_names"]) == ["conv", "ä"]
        assert list(written["a"].attrs["empty"]) == []


@pytest.mark.parametrize("text", ["con\0v", "\udc80"])
def test_attributes_that_are_no_text_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RefusedError, match=r"holds names that are no text \('layer_names' of 'a'\)"):
        rewrite(tmp_path / "none", Listing({"a": {"layer_names": [text]}}, {}), tmp_path / "m.h5")
