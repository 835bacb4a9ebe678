"""The study as it stands in docs/study: its numbers of GTSRB, its pictures of signs that anybody may show.

    trojancam reproduce --data PATH --out GTSRB
    trojancam reproduce --quick --out RENDERED
    python -m benchmarks.study GTSRB RENDERED

GTSRB's images stay out of the repository: pictures that show some come from the run on rendered signs.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from trojancam.files import written_whole
from trojancam.report.page import Page, Picture, Table
from trojancam_study.questions import research_questions
from trojancam_study.reproduction import QUESTIONS_FILE, details_of
from trojancam_study.walk import page

DOCS = Path(__file__).parent.parent / "docs"
RENDERED_SIGNS = "On rendered signs and networks trained on them, in small, with other numbers than those of the text:"


def published(measured: Path, rendered: Path, docs: Path = DOCS) -> Path:
    """Write `study/` and the research questions, from the folders of two runs; the path of the page."""
    results = json.loads((measured / "results.json").read_text(encoding="utf-8"))
    results["data"] = results["data"].partition(" at ")[0]  # where it lies concerns nobody else
    stand_ins = json.loads((rendered / "results.json").read_text(encoding="utf-8"))["pieces"]
    folder = docs / "study"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "figures").mkdir(parents=True)
    names: dict[bytes, str] = {}

    def picture(entry: dict[str, Any]) -> Picture:
        source, caption = measured, entry["caption"]
        if entry["shows_images"]:
            source, caption = rendered, f"{RENDERED_SIGNS} {_caption(stand_ins, entry['file'])}"
        png = shutil.copy(source / entry["file"], folder / entry["file"]).read_bytes()
        names[png] = entry["file"]
        return Picture(png, caption)

    walk = page(results["pieces"], details_of(results), picture)
    shutil.copytree(measured / "tables", folder / "tables")
    with written_whole(folder / "results.json") as partial:
        partial.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    with written_whole(docs / QUESTIONS_FILE) as partial:
        answers = research_questions(results["pieces"], results["data"], tuple(results["seeds"]))
        partial.write_text(answers, encoding="utf-8")
    with written_whole(folder / "README.md") as partial:
        partial.write_text(_markdown(walk, names), encoding="utf-8")
    return folder / "README.md"


def _caption(pieces: dict[str, Any], file: str) -> str:
    """What the run on rendered signs says of its own picture of that name."""
    entries = [entry for record in pieces.values() for entry in record["pictures"] if entry["file"] == file]
    return str(entries[0]["caption"])


def _markdown(walk: Page, names: dict[bytes, str]) -> str:
    lines = [f"# {walk.title}", walk.verdict]
    for section in walk.sections:
        lines += [f"## {section.title}", section.text]
        for part in section.parts:
            lines += _table(part) if isinstance(part, Table) else _picture(part, section.title, names)
    lines += ["## Settings", "\n".join(f"- {name}: {value}" for name, value in walk.details.items())]
    return "\n\n".join(line for line in lines if line) + "\n"


def _table(table: Table) -> list[str]:
    return [f"*{table.caption}*" if table.caption else "", table.markdown()]


def _picture(picture: Picture, title: str, names: dict[bytes, str]) -> list[str]:
    return [f"![{title}]({names[picture.png]})", f"*{picture.caption}*"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", type=Path, help="the folder of a whole run on GTSRB")
    parser.add_argument("rendered", type=Path, help="the folder of a run on rendered signs")
    arguments = parser.parse_args()
    print(published(arguments.measured, arguments.rendered))
