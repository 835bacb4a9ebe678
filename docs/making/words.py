"""Words: a vocabulary for everything that people read, and how long its sentences are; `python -m docs.making.words`."""

import ast
import re
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"
MOST = 18  # words of the median sentence of a page
RIDDLES = {  # what has to be read twice, and what to write in its place
    r"goes on when": "If interrupted, run the same command again to resume.",
    r"\bvouch(es|ed)?\b(?! *[=:)])": "say who states it, or that it is assumed",
    r"what you can mend": "errors that you can fix",
    r"\b(it was|was|is) not made on\b": "held-out images",
    r"\bmend(s|ed)?\b": "fix",
    r"\bwhat comes of\b": "what happens with",
    r"\bcannot be meant\b": "is not allowed",
    r"\bwhence\b|\bthereof\b|\btherewith\b|\bhitherto\b": "a plain word",
    r"\bas it stands here\b": "as typed",
    r"\bbids? fair\b|\bnought\b|\bnaught\b": "a plain word",
}
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"]
TEMPLATES = ("*.j2", "*.html")


@dataclass(frozen=True)
class Text:
    """Something that people read, and where it stands."""

    place: str
    words: str


def pages() -> Iterator[Path]:
    """README and its like, and every page of the documentation."""
    yield from PAGES
    yield from sorted(path for path in (ROOT / "docs").rglob("*.md") if "tables" not in path.parts)


def prose(markdown: str) -> str:
    """The paragraphs and points of a page, without code, tables, headings and addresses."""
    text = re.sub(r"^```.*?^```", "", markdown, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^(\||#|!\[|\s*:::).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)|\]\[[^\]]*\]", "]", text)
    return re.sub(r"^\s*[-*] ", "\n\n", text, flags=re.MULTILINE)


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence; a point of a list or a paragraph ends one, too."""
    parts = re.split(r"(?<=[.!?])\s+(?=[A-Z“`\"(\[])|\n\s*\n", text)
    words = [re.findall(r"[\w'’./-]*[A-Za-z][\w'’./-]*", part) for part in parts]  # numbers are no words
    return [each for each in words if len(each) > 2]


def median(text: str) -> float:
    """The number of words of the median sentence."""
    return statistics.median(map(len, sentences(text)))


@cache
def texts() -> tuple[Text, ...]:
    """Everything that people read: pages, templates, what commands say of themselves, and refusals."""
    return tuple(_texts())


def _texts() -> Iterator[Text]:
    for page in pages():
        yield Text(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))
    for pattern in TEMPLATES:
        for file in sorted(SOURCES.rglob(pattern)):
            yield Text(str(file.relative_to(ROOT)), file.read_text(encoding="utf-8"))
    for file in sorted(SOURCES.rglob("*.py")):
        yield from spoken(file)


def spoken(file: Path) -> Iterator[Text]:
    """The strings of a source file that are no docstrings, and the docstrings of commands, which are their help."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    place = str(file.relative_to(ROOT))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and " " in node.value
            and id(node) not in docstrings
        ):
            yield Text(f"{place}:{node.lineno}", node.value)
        elif isinstance(node, ast.FunctionDef) and file.parent.name == "cli" and node.name == file.stem:
            yield Text(f"{place}:{node.lineno}", ast.get_docstring(node) or "")


def riddles() -> Iterator[str]:
    """A line for each phrase that has to be read twice."""
    for text in texts():
        for pattern, better in RIDDLES.items():
            for found in re.finditer(pattern, text.words, flags=re.IGNORECASE):
                yield f"{text.place}: “{found[0]}”; write: {better}"


def long_winded() -> Iterator[str]:
    """A line for each page whose median sentence is too long."""
    for page in pages():
        text = prose(page.read_text(encoding="utf-8"))
        if sentences(text) and median(text) > MOST:
            yield f"{page.relative_to(ROOT)}: the median sentence has {median(text):g} words, at most {MOST} are easy to read"


if __name__ == "__main__":
    wrong = [*riddles(), *long_winded()]
    print("\n".join(wrong))
    sys.exit(bool(wrong))
