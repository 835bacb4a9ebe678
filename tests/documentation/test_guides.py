"""Guides: every code block of the documentation runs, and every command is one, on files that are there or were made before.

Each page is one story. Its blocks run in order, in an empty folder where only `photos/` lies. Commands that take long are
parsed by the command line's own parser; the others run.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from PIL import Image
from tests.warm import Warm

from trojancam.cli import app
from trojancam.data import rendered_signs

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
RUN = ("inspect", "explain", "models", "methods")  # what takes seconds at most
MADE_BEFORE = re.compile(
    r"trojancam-demo/(benign|trojaned|repaired)\.safetensors|trojancam-demo/sign(-with-trigger)?\.png"
)
FOLDERS = ("photos", "photos/14", "GTSRB", "train", "shared/signs")
OF_THE_READER = ("your-model.onnx", "ours-1.onnx", "ours-2.onnx", "reference.json", "trojancam-scan/scan.json")
FILE = re.compile(r"\.(safetensors|png|pt|pt2|onnx|keras|json|csv)$")


@dataclass(frozen=True)
class Block:
    """A block of code on a page: its language, the name of the file that it is, if any, and the code."""

    page: Path
    language: str
    title: str
    code: str

    @property
    def commands(self) -> list[str]:
        """The commands of this package in it, without prompt and comment."""
        whole = self.code.replace("\\\n", " ")
        lines = [line.strip().removeprefix("- run: ").partition("  #")[0].strip() for line in whole.splitlines()]
        return [line for line in lines if line.startswith("trojancam ")]


def blocks_of(page: Path) -> list[Block]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    titles = [re.search(r'title="([^"]+)"', rest) for _, rest, _ in found]
    return [
        Block(page, word, title[1] if title else "", code) for (word, _, code), title in zip(found, titles, strict=True)
    ]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


COMMANDS = {(name_of(page), command): None for page in PAGES for block in blocks_of(page) for command in block.commands}
STORIES = [page for page in PAGES if any(block.language == "python" for block in blocks_of(page))]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled images as a reader has them: a folder for each class, with two images in each."""
    folder = tmp_path_factory.mktemp("reader") / "photos"
    images, labels = rendered_signs(train=0, test=86).test.take(86)
    for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        (folder / f"{label:02}").mkdir(parents=True, exist_ok=True)
        pixels = (image.permute(1, 2, 0) * 255).byte().numpy()
        Image.fromarray(pixels).save(folder / f"{label:02}" / f"{number}.png")
    return folder


def parsed(command: str) -> list[str]:
    """The words of a command that the command line understands."""
    _, name, *arguments = shlex.split(command)
    group = typer.main.get_command(app)
    with typer.Context(group, info_name="trojancam") as context:
        chosen = group.get_command(context, name)  # type: ignore[attr-defined]
        assert chosen is not None, name
        chosen.make_context(name, arguments, parent=context, resilient_parsing=False)
    return arguments


def test_the_guides_have_code_and_commands() -> None:
    assert {"docs/how-to/onnx.md", "docs/how-to/keras.md", "docs/how-to/timm.md", "README.md"} <= {
        name_of(page) for page in STORIES
    }
    assert {"demo", "scan", "explain", "repair", "train", "calibrate"} <= {
        command.split()[1] for _, command in COMMANDS
    }


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_is_understood(page: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = command.replace(" /", " ")  # what all machines of a cluster see lies in the test's own folder
    for word in shlex.split(command):  # whether files are made is looked at below; here they only must be there
        if FILE.search(word) or word in FOLDERS:
            path = tmp_path / word
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch() if FILE.search(word) else path.mkdir(parents=True, exist_ok=True)
    parsed(command)


@pytest.mark.parametrize("page", [page for page in PAGES if "how-to" in page.parts or page.stem in ("tutorial", "README")],
                         ids=name_of)  # fmt: skip
def test_files_that_commands_read_are_made_before(page: Path) -> None:
    made: set[str] = set(OF_THE_READER)
    for block in blocks_of(page):
        made |= set(re.findall(r"[\"'(]([\w./-]+\.(?:pt2?|onnx|keras|safetensors|png))[\"')]", block.code))
        for command in block.commands:
            words = shlex.split(command)
            out = words[words.index("--out") + 1] if "--out" in words else ""
            read = {word for word in words if FILE.search(word)} - {out}
            assert {word for word in read if word not in made and not MADE_BEFORE.fullmatch(word)} == set(), command
            made.add(out)


@pytest.mark.parametrize("page", STORIES, ids=name_of)
def test_a_page_runs_as_it_stands(page: Path, photos: Path, python: Warm, tmp_path: Path) -> None:
    """In one process for each page: its code in order, and between it the commands that are quick."""
    (tmp_path / "photos").symlink_to(photos)
    story = []
    for block in blocks_of(page):
        if block.title:
            file = tmp_path / block.title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.code, encoding="utf-8")
        elif block.language == "python":
            story.append(f"exec(compile({block.code!r}, {name_of(page)!r}, 'exec'), scope)")
        quick = [each for each in block.commands if each.split()[1] in RUN and not MADE_BEFORE.search(each)]
        story += [f"run({command!r})" for command in quick]
    done = python.run("\n".join([BEFORE, *story]), tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]


BEFORE = """
import importlib.util, shlex, warnings
warnings.simplefilter("ignore")
if importlib.util.find_spec("timm"):
    from tests.peers import make_torchvision_importable
    make_torchvision_importable()
scope = {}

def run(command):
    from trojancam.cli import app
    try:
        app(shlex.split(command)[1:], standalone_mode=False)
    except SystemExit as ended:
        assert ended.code in (0, None), (command, ended.code)
"""
