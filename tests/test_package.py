"""The package's face: every public name is there, importing it is light, and the README's example runs."""

import re
import subprocess
import sys
from pathlib import Path

import trojancam

ROOT = Path(__file__).parents[1]


def test_every_public_name_can_be_imported():
    assert all(getattr(trojancam, name) is not None for name in trojancam.__all__)
    assert set(trojancam.__all__) <= set(dir(trojancam))


def test_importing_the_package_imports_no_heavy_library():
    code = "import sys, trojancam.cli; print([n for n in ('torch', 'numpy', 'matplotlib', 'pydantic') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_example_in_the_readme_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        scope: dict[str, object] = {}
        exec(compile(block, "README.md", "exec"), scope)
        assert "cams" in scope


def test_the_examples_run(tmp_path):
    for example in sorted((ROOT / "examples").glob("*.py")):
        done = subprocess.run([sys.executable, example], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "feature-maps.png").stat().st_size > 1000
