"""Pages that are made and lie in docs/, so that they can be read in the repository, too.

    python -m docs.making.written

writes them; a test says if they are not what would be made.
"""

from pathlib import Path

from docs.making import commands, glossary, notebooks

DOCS = Path(__file__).parents[1]


def pages() -> dict[str, str]:
    """Their text, by their place in docs/."""
    return {
        "glossary.md": glossary.page(),
        "reference/commands.md": commands.page(),
        "notebooks/index.md": notebooks.overview(),
    }


def main() -> None:
    """Write them."""
    for place, text in pages().items():
        (DOCS / place).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
