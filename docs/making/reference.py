"""Reference: a page for each package of trojancam, with every public name, as `__init__.pyi` and the modules state them."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src"
ROOT = "trojancam"
SHORT = "tc"  # what pages call it
SPAN = re.compile(rf"(?<![`\[])`({SHORT}(?:\.\w+)+)(?:\([^`\n]*\))?`(?!`|\]\()")
APART = re.compile(r"^(?:#.*|```[\s\S]*?^```)$", re.MULTILINE)  # headings and listings, which have no links


@dataclass(frozen=True)
class Package:
    """A package: its modules, its subpackages, and the names that it takes from them, each with where that stands."""

    name: str
    modules: tuple[str, ...]
    packages: tuple[str, ...]
    names: dict[str, str]

    @property
    def page(self) -> str:
        """Where its page lies in the documentation."""
        return f"reference/{self.name}.md"


def packages(folder: Path = SOURCES / ROOT) -> Iterator[Package]:
    """The package in this folder, and those inside it, from the top down."""
    name = ".".join(folder.relative_to(SOURCES).parts)
    inside = sorted(path for path in folder.iterdir() if (path / "__init__.py").is_file())
    files = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    yield Package(
        name,
        tuple(f"{name}.{file}" for file in files),
        tuple(f"{name}.{path.name}" for path in inside),
        taken(folder / "__init__.pyi", name) if (folder / "__init__.pyi").exists() else {},
    )
    for path in inside:
        if path.name != "cli":  # its functions are commands, and stand on a page of their own
            yield from packages(path)


def taken(stub: Path, package: str) -> dict[str, str]:
    """The names that a package's stub takes from its modules: `{name: the module's full name and the name there}`."""
    found = {}
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for each in node.names:
                found[each.asname or each.name] = origin(f"{package}.{node.module}", each.name)
    return dict(sorted(found.items(), key=lambda pair: pair[0].lower()))


def origin(module: str, name: str) -> str:
    """Where a name stands that a module gives: a package hands on what its own stub takes from elsewhere."""
    folder = SOURCES.joinpath(*module.split("."))
    if (folder / "__init__.pyi").exists():
        handed = taken(folder / "__init__.pyi", module)
        return handed.get(name, f"{module}.{name}")
    return f"{module}.{name}"


def linked(markdown: str) -> str:
    """A page whose `tc.name` in code leads to the reference; where it lies, in the repository, it reads as code.

    >>> linked("- `tc.load(path)` opens a file.")
    '- [`tc.load(path)`][trojancam.opening.open.load] opens a file.'
    """
    parts, end = [], 0
    for apart in [*APART.finditer(markdown), None]:
        start = len(markdown) if apart is None else apart.start()
        parts.append(SPAN.sub(lambda span: f"[{span[0]}][{standing(span[1])}]", markdown[end:start]))
        if apart is not None:
            parts.append(apart[0])
            end = apart.end()
    return "".join(parts)


def standing(name: str) -> str:
    """Where a name stands that pages call `tc.name`.

    Raises:
        LookupError: if the package has no such name.

    >>> standing("tc.data.gtsrb"), standing("tc.Network.save"), standing("tc.figures")
    ('trojancam.data.gtsrb_files.gtsrb', 'trojancam.network.network.Network.save', 'trojancam.figures')
    """
    place = ROOT
    _, *parts = name.split(".")
    for number, part in enumerate(parts):
        folder = SOURCES.joinpath(*place.split("."))
        if not (folder / "__init__.pyi").exists():
            return ".".join(
                [place, *parts[number:]]
            )  # of a class or a module: whoever builds the site finds it, or not
        inside = folder.joinpath(part)
        there = inside.is_dir() or inside.with_suffix(".py").exists()
        names = taken(folder / "__init__.pyi", place)
        if part not in names and not there:
            raise LookupError(f"{name} is no name of the package; correct the page")
        place = names.get(part, f"{place}.{part}")
    return place


def sentence(path: str) -> str:
    """The first line of what a module, class, function or value says of itself; empty for one that says nothing."""
    module, _, name = path.rpartition(".")
    file = SOURCES.joinpath(*path.split("."))
    for whole in (file.with_suffix(".py"), file / "__init__.py"):
        if whole.exists():
            return first_line(ast.get_docstring(ast.parse(whole.read_text(encoding="utf-8"))))
    body = ast.parse(SOURCES.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")).body
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return first_line(ast.get_docstring(node))
        if name in assigned(node) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            return first_line(str(after.value.value))
    return ""


def assigned(node: ast.stmt) -> list[str]:
    """The names that a statement gives a value."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def first_line(docstring: str | None) -> str:
    """The first line, fit for a cell of a table."""
    return (docstring or "").strip().partition("\n")[0].replace("|", "\\|")


def table(rows: dict[str, str]) -> list[str]:
    """A table of names, each with a link to where it stands and its first sentence."""
    head = ["| name | what it is |", "| --- | --- |"]
    return [*head, *(f"| [`{name}`][{path}] | {sentence(path)} |" for name, path in rows.items())]


def page_of(package: Package) -> str:
    """The page of a package, as Markdown for mkdocstrings."""
    lines = [f"::: {package.name}", "    options:", "      members: false", "      heading_level: 1", ""]
    if package.names:
        lines += ["## Names", "", *table(package.names), ""]
    if package.packages:
        within = [name for name in package.packages if name != f"{ROOT}.cli"]
        lines += ["## Packages inside it", "", *(f"- [{name}]({name}.md): {sentence(name)}" for name in within), ""]
    lines += [line for module in package.modules for line in (f"::: {module}", "")]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    """Every page of the reference, by its place."""
    return {package.page: page_of(package) for package in packages()}
