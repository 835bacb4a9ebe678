"""Notebooks: each executed in a kernel of its own, and shown as a page with what it printed and drew."""

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "notebooks"
KEPT = ROOT / "build" / "notebooks"  # executed ones, by what they and the package say
UNEXECUTED = "TROJANCAM_DOCS_UNEXECUTED"  # set where only the pages themselves matter: the code is then shown alone


def files() -> list[Path]:
    """Every notebook, by name."""
    return sorted(FOLDER.glob("*.ipynb"))


def titles() -> list[Any]:
    """The notebooks for the navigation: an overview, and each by its heading."""
    return ["notebooks/index.md", *({title(file): f"notebooks/{file.stem}.md"} for file in files())]


def title(file: Path) -> str:
    """The heading of a notebook."""
    return str(read(file).cells[0].source.splitlines()[0].removeprefix("# "))


def read(file: Path) -> Any:
    """A notebook as it is kept, without outputs."""
    import nbformat  # it takes a second, for a grammar that it builds

    return nbformat.read(file, as_version=4)


def pages() -> dict[str, str]:
    """A page for each notebook."""
    return {f"notebooks/{file.stem}.md": page(file) for file in files()}


def overview() -> str:
    """The page that lists them; `docs.making.written` writes it."""
    links = [f"- [{title(file)}]({file.name}). {first_sentence(file)}" for file in files()]
    head = "Each notebook runs as it stands, in seconds. The pages of the site show what it printed."
    return "\n".join(["# Notebooks", "", head, "", *links, ""])


def first_sentence(file: Path) -> str:
    """What a notebook is about."""
    words = " ".join(read(file).cells[0].source.splitlines()[1:]).strip()
    return words.partition(". ")[0].rstrip(".") + "."


def page(file: Path) -> str:
    """A notebook as Markdown: text, code, and outputs."""
    notebook = read(file) if os.environ.get(UNEXECUTED) else executed(file)
    parts = [shown(cell) for cell in notebook.cells]
    parts.insert(1, f"[Download this notebook]({file.name}){{ .md-button download }}\n")
    return "\n\n".join(parts)


@cache
def executed(file: Path) -> Any:
    """The notebook with its outputs; one that was executed before, with the same package, is read back."""
    import nbformat

    kept = KEPT / f"{file.stem}-{state(file)}.ipynb"
    if kept.exists():
        return nbformat.read(kept, as_version=4)
    notebook = run(file)
    kept.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, kept)
    return notebook


def run(file: Path) -> Any:
    """Execute a notebook in an empty folder.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell fails.
    """
    from nbclient import NotebookClient

    notebook = read(file)
    with tempfile.TemporaryDirectory() as folder:
        quiet = ["--log-level=ERROR"]
        NotebookClient(notebook, timeout=300, extra_arguments=quiet, resources={"metadata": {"path": folder}}).execute()
    return notebook


def state(file: Path) -> str:
    """What the outputs depend on: the notebook, and every source file of the package."""
    digest = hashlib.sha256(file.read_bytes())
    for source in sorted((ROOT / "src" / "trojancam").rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def shown(cell: Any) -> str:
    """One cell as Markdown."""
    if cell.cell_type == "markdown":
        return str(cell.source)
    return "\n\n".join([f"```python\n{cell.source}\n```", *(output_shown(output) for output in cell.outputs)])


def output_shown(output: Any) -> str:
    """One output: what looks best of what the kernel offers."""
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```"
    data = output.get("data", {})
    if "text/html" in data:
        return framed(str(data["text/html"]))
    if "image/png" in data:
        return f'<img alt="The picture that this cell draws" src="data:image/png;base64,{data["image/png"].strip()}">'
    return f"```text\n{data.get('text/plain', json.dumps(dict(output)))}\n```"


def framed(html: str) -> str:
    """HTML on one line, for Markdown would take indented lines of it for code."""
    return f'<div class="output" markdown="0">{" ".join(html.split())}</div>'
