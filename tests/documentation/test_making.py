"""What makes the site: examples of docstrings, outputs of notebooks, links of README, and the tables of the reference."""

import re
from operator import attrgetter
from pathlib import Path

import pytest
from docs.making import examples, notebooks, pages, reference, written

import trojancam


def test_examples_of_docstrings_become_code() -> None:
    docstring = "Add.\n\n>>> 1 + (\n...     1)\n2\n\nMore."
    assert examples.fenced(docstring) == "Add.\n\n```pycon\n>>> 1 + (\n...     1)\n2\n```\n\nMore."
    assert examples.fenced("No example, but a > b.") == "No example, but a > b."


def test_a_cell_is_shown_with_what_it_printed_and_drew() -> None:
    import nbformat.v4 as notebook  # it takes a second, in every process that collects these tests

    printed = notebook.new_output("stream", text="two lines\nof text\n")
    drawn = notebook.new_output("display_data", {"image/png": "AAAA\n", "text/plain": "a figure"})
    table = notebook.new_output(
        "execute_result", {"text/html": "<table>\n    <tr></tr>\n</table>", "text/plain": "a table"}
    )
    cell = notebook.new_code_cell("tc.scan()", outputs=[printed, drawn, table])
    assert notebooks.shown(cell).split("\n\n") == [
        "```python\ntc.scan()\n```",
        "```text\ntwo lines\nof text\n```",
        '<img alt="The picture that this cell draws" src="data:image/png;base64,AAAA">',
        '<div class="output" markdown="0"><table> <tr></tr> </table></div>',
    ]


def test_pages_that_lie_in_the_repository_are_as_they_are_made() -> None:
    """If one is not: python -m docs.making.written."""
    for place, text in written.pages().items():
        assert (written.DOCS / place).read_text(encoding="utf-8") == text, place


def test_links_between_files_of_the_repository_lead_somewhere() -> None:
    """Whoever reads them where they lie follows them, too."""
    root = written.DOCS.parent
    texts = [*written.DOCS.rglob("*.md"), *(root / name for name in pages.OUTSIDE)]
    broken = [
        f"{file.relative_to(root)}: {link[1]}"
        for file in texts
        for link in pages.LINK.finditer(
            re.sub(r"```.*?```|`[^`\n]*`", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
        )
        if not (file.parent / link[1]).exists()
    ]
    assert broken == []


def test_links_of_the_readme_lead_to_pages_of_the_site() -> None:
    text = "[a](docs/zoo.md), [b](SECURITY.md#what-is-promised), [c](https://example.org/docs/x), [d](docs/notebooks)"
    assert pages.LINK.sub(pages.seen_from_the_top, text) == (
        "[a](zoo.md), [b](security-policy.md#what-is-promised), [c](https://example.org/docs/x), [d](notebooks/index.md)"
    )


def test_the_reference_knows_where_a_name_stands_and_what_it_says() -> None:
    packages = {package.name: package for package in reference.packages()}
    assert packages["trojancam"].names["scan"] == "trojancam.detection.scanning.scan"
    assert packages["trojancam"].names["METHODS"] == "trojancam.attribution.methods.METHODS"
    assert reference.sentence("trojancam.attribution.methods.INPUT").startswith("The key of a map")
    assert reference.sentence("trojancam.detection.success").startswith("Success rates of a trigger")
    assert "[`scan`][trojancam.detection.scanning.scan]" in reference.page_of(packages["trojancam"])


def test_names_in_code_lead_to_the_reference_where_no_link_or_listing_holds_them() -> None:
    text = "Call `tc.scan(network)`, [`tc.load`](x.md), ``tc.load``.\n\n## `tc.load`\n\n```python\n`tc.load`\n```\n\n`tc.METHODS`"
    assert reference.linked(text) == text.replace(
        "`tc.scan(network)`", "[`tc.scan(network)`][trojancam.detection.scanning.scan]"
    ).replace("`tc.METHODS`", "[`tc.METHODS`][trojancam.attribution.methods.METHODS]")
    with pytest.raises(LookupError, match=r"tc.sacn is no name of the package"):
        reference.linked("`tc.sacn`")


def test_pages_read_well_where_they_lie_and_name_nothing_that_is_not_there() -> None:
    """References that only the site understands stand as brackets in the repository."""
    for file in [*written.DOCS.rglob("*.md"), *(written.DOCS.parent / name for name in pages.OUTSIDE)]:
        text = file.read_text(encoding="utf-8")
        assert "][trojancam" not in text, file
        for span in reference.SPAN.finditer(text):
            assert attrgetter(span[1].partition(".")[2])(trojancam), span
            assert reference.standing(span[1]).startswith("trojancam.")


def test_every_notebook_has_a_page_with_its_heading() -> None:
    assert [Path(file).stem for file in notebooks.files()] == sorted(Path(file).stem for file in notebooks.files())
    assert all(notebooks.title(file) and notebooks.first_sentence(file).endswith(".") for file in notebooks.files())
