"""The package's face: every public name resolves in a fresh process, and importing is light."""

import json
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pytest
from tests.warm import Warm

import trojancam

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
NAME = re.compile(r"(?<![\w./\"-])(?:tc|trojancam)((?:\.[A-Za-z_]\w*)+)")
IN_PROSE = re.compile(r"\.(?:safetensors|toml|py|html|json)$")  # `trojancam.toml` names a file

RESOLVING = """
import sys
assert not [name for name in sys.modules if name.startswith("trojancam")]
import trojancam as tc
for name in {names}:
    try:
        eval("tc" + name)
    except BaseException as error:
        print(name, repr(error), flush=True)
"""


def documented() -> set[str]:
    """Every `tc.x.y` and `trojancam.x.y` in the code of a page or a notebook, without its first part."""
    text = "\n".join(code for page in PAGES for code in CODE.findall(page.read_text(encoding="utf-8")))
    cells = [cell for each in NOTEBOOKS for cell in json.loads(each.read_text(encoding="utf-8"))["cells"]]
    for cell in cells:
        words = "".join(cell["source"])
        text += "\n" + (words if cell["cell_type"] == "code" else "\n".join(CODE.findall(words)))
    names = {name for name in NAME.findall(text) if not IN_PROSE.search(name)}
    return {name for name in names if not name.startswith(".cli.")}  # these are run, not imported


def modules() -> set[str]:
    """Every public module; those of the command line are functions of the same name, and nobody's library."""
    found = pkgutil.walk_packages(trojancam.__path__, "trojancam.")
    names = {each.name.removeprefix("trojancam") for each in found if not re.search(r"\._", each.name)}
    return {name for name in names if not name.startswith(".cli.")}


def unresolved(groups: Iterable[Iterable[str]], python: Warm, folder: Path) -> str:
    """What goes wrong when each group of names is the first thing that a process asks for."""
    ends = [python.run(RESOLVING.format(names=tuple(group)), folder) for group in groups]
    assert [end.stderr for end in ends if end.returncode] == []
    return "".join(end.stdout for end in ends)


def test_every_name_resolves_in_a_fresh_process(python: Warm, tmp_path: Path) -> None:
    """The documented ones and those of the package in a process each, those of its packages in a process for each."""
    pages, own = documented(), {f".{name}" for name in trojancam.__all__}
    assert {".scan", ".Network.from_module", ".data.rendered_signs", ".METHODS.register"} <= pages
    assert {".targets", ".preprocessing", ".evaluation", ".read_stream"} <= own
    assert {".evaluation.road", ".detection.inversion", ".formats.onnx.reader"} <= modules()
    exported = {place: getattr(import_module(f"trojancam{place}"), "__all__", ()) for place in modules()}
    of_packages = [[f"{place}.{name}" for name in names] for place, names in exported.items() if names]
    wrong = unresolved([[".nothing"], *([name] for name in sorted(pages | own)), *of_packages], python, tmp_path)
    assert [line.split()[:2] for line in wrong.splitlines()] == [[".nothing", "AttributeError('No"]]


@pytest.mark.parametrize("place", ["", *sorted(modules())])
def test_a_package_lists_all_its_modules_and_no_name_twice(place):
    package = import_module(f"trojancam{place}")
    if not hasattr(package, "__path__") or place in (".cli",):
        return
    found = {each.name for each in pkgutil.iter_modules(package.__path__) if not each.name.startswith("_")}
    assert found <= set(package.__all__) | {"cli"}
    assert set(package.__all__) <= set(dir(package))
    for name in found & set(package.__all__):  # a function of the same name would hide the module
        assert getattr(package, name).__name__ == f"{package.__name__}.{name}"


def test_one_file_name_has_one_meaning():
    """A command has a file of its name in several folders; the others that stand twice mean the same in all of them."""
    files = [path for path in (ROOT / "src" / "trojancam").rglob("*.py") if not path.stem.startswith("__")]
    commands = {path.stem for path in files if path.parent.name == "cli"}
    same = {
        "allowed",
        "catalogue",
        "detector",
        "maps",
        "module",
        "reader",
        "saving",
        "tensors",
        "writing_back",
    }  # see docs/architecture.md
    several = {name for name, count in Counter(path.stem for path in files).items() if count > 1}
    assert several - commands <= same


def test_importing_the_package_imports_no_heavy_library():
    code = "import sys, trojancam.cli; print([n for n in ('torch', 'numpy', 'matplotlib', 'pydantic') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_alone_imports_no_library_at_all():
    code = (
        "import sys; before = set(sys.modules); import trojancam;"
        "print({name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("{'lazy_loader', 'trojancam'}", "{'trojancam', 'lazy_loader'}")


def test_what_takes_long_to_import_is_imported_only_where_it_is_needed(python: Warm, tmp_path: Path) -> None:
    done = python.run(
        "import sys, trojancam as tc; tc.scan, tc.repair, tc.sift, tc.explain, tc.cleanse\n"
        "print([name for name in ('scipy.stats', 'scipy.optimize', 'scipy.cluster') if name in sys.modules])",
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_the_examples_run(tmp_path):
    for example in sorted((ROOT / "examples").glob("*.py")):
        done = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "feature-maps.png").stat().st_size > 1000
