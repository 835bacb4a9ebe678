"""Studies are found among the entry points of installed packages; where there is none, or no single one, a sentence says so."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.plug_in import environment, write_plug_in

from trojancam.errors import DataError, UnknownNameError
from trojancam.registry import Registry
from trojancam.tasks import reproduce
from trojancam.tasks.reproduce import STUDIES, PublishedStudy, as_study, study_named
from trojancam_study.published import STUDY

OTHER = """
from pathlib import Path
from trojancam.tasks.reproduce import PublishedStudy


class Other(PublishedStudy):
    title = "another study"
    rendered = (43, 43)

    def pieces(self):
        return ("fig1",)

    def known(self, names):
        return tuple(names)

    def reproduce(self, dataset, out, *, seeds=None, quick=False, only=None, progress=None):
        out.mkdir()
        page = out / "index.html"
        page.write_text(f"{len(dataset.train)} {len(dataset.test)} {seeds} {quick} {only}")
        return page


STUDY = Other()
"""


def command(*options: str, code: str = "import trojancam.__main__ as m; m.main()") -> list[str]:
    return [sys.executable, "-P", "-c", code, "reproduce", *options]


def test_the_study_of_2023_is_found_through_its_entry_point() -> None:
    assert study_named("2023") is STUDY
    assert "trojancam" in STUDIES.origin("2023")
    with pytest.raises(UnknownNameError, match="unknown study '2032' .did you mean '2023'"):
        study_named("2032")


def test_where_none_is_installed_a_sentence_says_how_to_get_one() -> None:
    code = (
        "import importlib.metadata as m; found = m.distributions;"
        "m.distributions = lambda: [d for d in found() if d.metadata['Name'] != 'trojancam'];"
        "import trojancam.__main__ as main; main.main()"
    )
    done = subprocess.run(command(code=code), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == (
        "error: no study to reproduce is installed; the study of 2023 comes with trojancam: pip install --force-reinstall "
        "trojancam\n"
    )


def test_a_study_of_another_package_is_made_by_its_name(tmp_path: Path) -> None:
    write_plug_in(tmp_path / "packages", {"trojancam.studies": {"other": "other_study:STUDY"}}, OTHER, "other_study")
    found = environment(tmp_path / "packages")
    arguments = command("--study", "other", "--quick", "--seeds", "2", "--only", "fig1", "--out", "out")
    done = subprocess.run(arguments, cwd=tmp_path, env=found, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "index.html").read_text(encoding="utf-8") == "43 43 2 True ('fig1',)"
    unnamed = subprocess.run(command(), cwd=tmp_path, env=found, capture_output=True, text=True, check=False)
    assert unnamed.returncode == 2
    assert unnamed.stderr == (
        "error: several studies are installed (2023, other); say which to reproduce with --study\n"
    )


def test_the_only_study_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reproduce, "STUDIES", Registry("study", "nobody.studies", as_study, {"one": STUDY}))
    assert study_named() is STUDY


def test_what_is_no_study_is_refused() -> None:
    with pytest.raises(DataError, match=r"'thing' is no study; derive its class from .*PublishedStudy"):
        as_study("thing", PublishedStudy)
