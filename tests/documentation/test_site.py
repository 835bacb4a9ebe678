"""The site: built without a warning, it has every public name, works without the network, and keeps nobody out."""

import os
import subprocess
import sys
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from docs.making import links, reference
from tests.browsers import Axe

ROOT = Path(__file__).parents[2]
LOOKED_AT = (
    "index", "tutorial", "glossary", "how-to/onnx", "explanation/stimulation", "repair", "reference/index",
    "reference/trojancam.stimulation", "notebooks/custom_target",
)  # fmt: skip
WIDE = ("zoo", "results", "gallery", "study/index", "reference/commands", "reference/trojancam.network")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documentation") / "site"
    surroundings = os.environ | {
        "TROJANCAM_DOCS_UNEXECUTED": "1",
        "NO_MKDOCS_2_WARNING": "1",
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder],
        cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def documented(site: Path) -> set[str]:
    """Every name that has a place in the reference, from the inventory that other projects' pages link by."""
    packed = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    return {line.split(" ", 1)[0] for line in zlib.decompress(packed).decode().splitlines()}


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    known = documented(site)
    packages = {package.name: package for package in reference.packages()}
    assert "trojancam.detection.stimulation_maps" in packages
    for name, package in packages.items():
        module = import_module(name)
        public = {each for each in getattr(module, "__all__", ()) if not each.startswith("__")} - {"cli"}
        places = {each: package.names.get(each, f"{name}.{each}") for each in public}
        assert {each: place for each, place in places.items() if place not in known} == {}


def test_every_page_has_every_name_of_its_package(site: Path) -> None:
    text = (site / "reference" / "trojancam.html").read_text(encoding="utf-8")
    names = next(package.names for package in reference.packages() if package.name == "trojancam")
    assert len(names) > 30
    assert [name for name in names if f"<code>{name}</code>" not in text] == []


def test_every_file_of_the_documentation_is_a_page(site: Path) -> None:
    files = [path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md") if "making" not in path.parts]
    pages = {(file.parent / "index.md" if file.name == "README.md" else file).with_suffix(".html") for file in files}
    assert len(pages) > 30
    assert [page for page in pages if not (site / page).exists()] == []


def test_links_lead_somewhere_and_nothing_is_loaded_from_the_web(site: Path, tmp_path: Path) -> None:
    assert links.broken(site) == []
    (tmp_path / "other.html").write_text('<p id="here"></p>')
    (tmp_path / "page.html").write_text(
        '<a href="other.html#here"></a><a href="other.html#there"></a><a href="gone.html"></a><a href="https://example.org"></a>'
        '<script src="https://example.org/x.js"></script><img src="data:image/png;base64,">'
    )
    assert sorted(links.broken(tmp_path)) == [
        "page.html links to gone.html, which does not exist",
        "page.html links to other.html#there, but that page has no such place",
        "page.html loads https://example.org/x.js from the web",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_keep_nobody_out(site: Path, browser: Any, axe: Axe, scheme: str) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1366, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    wrong = []
    for name in LOOKED_AT:
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_function("document.querySelectorAll('.md-typeset__scrollwrap, article > p').length > 0")
        wrong += [f"{name}: {each}" for each in axe(page)]
    context.close()
    assert wrong == []
    assert {url.partition(":")[0] for url in asked} <= {"file", "data", "blob"}


@pytest.fixture(scope="module")
def phone(browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    yield page
    page.close()


@pytest.mark.parametrize("name", LOOKED_AT + WIDE)
def test_pages_fit_a_phone(site: Path, phone: Any, name: str) -> None:
    phone.goto((site / f"{name}.html").as_uri())
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_search_answers_without_a_server(site: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1366, "height": 900})
    page.goto((site / "index.html").as_uri())
    page.locator(".md-search__input").press_sequentially("stimulation")  # as a person does: it listens to keys
    page.locator(".md-search-result__link").first.wait_for()
    assert "stimulation" in page.locator(".md-search-result__list").inner_text().lower()
    page.close()
