"""Pages: what the site shows beside the files of docs/: README and its like, the reference, the commands, the notebooks."""

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from docs.making import links, notebooks, reference  # noqa: E402
from mkdocs.config.defaults import MkDocsConfig  # noqa: E402
from mkdocs.exceptions import PluginError  # noqa: E402
from mkdocs.structure.files import File, Files  # noqa: E402

OUTSIDE = {  # files outside docs/ that are pages of the site
    "README.md": "index.md",
    "SECURITY.md": "security-policy.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
APART = ("making/", "study/tables/")  # no pages of their own, or found from another one
COPIED = ("CITATION.cff", "LICENSE")
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def made() -> dict[str, str]:
    """Every page that no file of docs/ is, by its place in the site."""
    outside = {page: (ROOT / file).read_text(encoding="utf-8") for file, page in OUTSIDE.items()}
    moved = {page: LINK.sub(seen_from_the_top, text) for page, text in outside.items()}
    return moved | reference.pages() | notebooks.pages()


def seen_from_the_top(link: re.Match[str]) -> str:
    """A link of README or its like, as it is in a page at the top of the site."""
    file, place = link[1], link[2] or ""
    file = OUTSIDE.get(file, file.removeprefix("docs/"))
    if file == "notebooks":
        file = "notebooks/index.md"
    return f"]({file}{place})"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the parts of the navigation that nobody should have to write: notebooks and packages; and pages not yet named."""
    assert config.nav is not None
    fill(config.nav, "Notebooks", notebooks.titles())
    fill(config.nav, "Python", [{package.name: package.page} for package in reference.packages()])
    known = set(re.findall(r"[\w./-]+\.md", repr(config.nav)))
    files = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    fill(config.nav, "How to", sorted(file for file in files - known if not file.startswith(APART)))
    return config


def fill(nav: list[Any], title: str, entries: list[Any]) -> None:
    """Add entries to the part of the navigation of this title, wherever it lies."""
    for part in nav:
        for name, within in part.items() if isinstance(part, dict) else ():
            if name == title:
                within.extend(entries)
            elif isinstance(within, list):
                fill(within, title, entries)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made to what lies in docs/."""
    for place, content in made().items():
        files.append(File.generated(config, place, content=content))
    for file in COPIED:
        files.append(File.generated(config, file, abs_src_path=str(ROOT / file)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to README and its like lead to their pages in the site, those of the list of notebooks to theirs, names to what
    the reference says of them.
    """
    up = "../" * page.file.src_uri.count("/")
    for file, target in OUTSIDE.items():
        markdown = markdown.replace(f"](../{up}{file}", f"]({up}{target}")
    markdown = reference.linked(markdown)
    return markdown.replace(".ipynb)", ".md)") if page.file.src_uri == "notebooks/index.md" else markdown


def on_post_page(output: str, **_: Any) -> str:
    """The theme's search is a dialog without a name; readers of screens need one."""
    return output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site with a link that leads nowhere, or a page that loads anything from the web."""
    wrong = links.broken(Path(config.site_dir))
    if wrong:
        raise PluginError("\n".join(["the site has broken links:", *wrong]))
