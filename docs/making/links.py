"""Links: every link and script of the built site leads to something in it, and nothing is loaded from elsewhere."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"img": "src", "script": "src", "source": "src", "iframe": "src"}  # what a browser loads by itself
PAGES = ".html"


@dataclass
class Links(HTMLParser):
    """What a page links to, what it loads, and which places in it have a name."""

    linked: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take in one tag."""
        given = {name: value or "" for name, value in attributes}
        self.names |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.linked.append(given["href"])
        elif tag == "link" and given.get("rel") in ("stylesheet", "preload", "preconnect", "icon"):
            self.loaded.append(given["href"])
        elif tag in LOADED and given.get(LOADED[tag]):
            self.loaded.append(given[LOADED[tag]])


def broken(site: Path) -> list[str]:
    """A sentence for each link that leads nowhere, and for each thing that a page would load from the web."""
    read: dict[Path, Links] = defaultdict(Links)
    for page in sorted(site.rglob(f"*{PAGES}")):
        read[page].feed(page.read_text(encoding="utf-8"))
    return [wrong for page in list(read) for wrong in wrong_in(page, read, site)]


def wrong_in(page: Path, read: dict[Path, Links], site: Path) -> Iterator[str]:
    """What is wrong on one page."""
    place = page.relative_to(site)
    for address in read[page].loaded:
        if urlsplit(address).scheme not in ("", "data") or address.startswith("//"):
            yield f"{place} loads {address} from the web"
    for address in {*read[page].linked, *read[page].loaded}:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc or (not parts.path and not parts.fragment):
            continue
        start = site if parts.path.startswith("/") else page.parent
        target = (start / unquote(parts.path.lstrip("/"))).resolve() if parts.path else page
        target = target / "index.html" if target.is_dir() else target
        if not target.exists():
            yield f"{place} links to {address}, which does not exist"
        elif parts.fragment and target.suffix == PAGES and not named(unquote(parts.fragment), read[target]):
            yield f"{place} links to {address}, but that page has no such place"


def named(fragment: str, links: Links) -> bool:
    """Whether a page has a place of this name; the theme's own switches are made by its script."""
    return fragment in links.names or fragment.startswith("__")
