"""The glossary: each word once, and every page explains those that it uses."""

import html
import re

from docs.making import glossary
from markdown.extensions.toc import slugify

from trojancam.report.glossary import TERMS, THINGS, meaning, said, terms_in
from trojancam.report.page import Page, Section, Table, render


def test_each_word_is_explained_once_and_in_order() -> None:
    names = [term.name.lower() for term in TERMS]
    spelled = [word for term in TERMS for word in (term.name, *term.spellings)]
    assert names == sorted(names)
    assert len(set(map(str.lower, spelled))) == len(spelled)
    assert [term.name for term in TERMS if not term.meaning.endswith(".")] == []


def test_words_are_found_whole_and_short_ones_as_they_are_written() -> None:
    assert [term.name for term in terms_in("Pages have a REASR, and feature maps.")] == ["feature map", "REASR"]
    assert [term.name for term in terms_in("p = 0.1")] == ["p-value"]
    assert terms_in("Road work, an uneven road") == []
    assert terms_in("P. S. A page, patched and scored, fingerprints alarms") == []


def test_a_page_explains_its_words_at_the_number_and_at_its_end() -> None:
    table = Table(["Evidence", "Value"], [["Ablation ASR", "3%"], ["Elevation", "2.1"]])
    text = render(Page("A scan", "It is done.", [Section("Numbers", parts=[table])]))
    for word in ("ablation ASR", "elevation"):
        assert f"<dt>{word}</dt><dd>{meaning(word)}</dd>" in text
        assert f'title="{meaning(word)}"' in text
    assert text.count("<dt>REASR</dt>") == 0
    assert "Words on this page" not in render(Page("A page", "It is done.", []))


def test_numbers_are_explained_by_what_they_measure_and_by_nothing_else() -> None:
    assert {*THINGS} <= {term.name for term in TERMS}
    text = "Feature map 5, by Grad-CAM 0.3: energy 12% (chance: 3%), ablation ASR 7%."
    told = [(piece.text, piece.term.name) for piece in said(text) if piece.term]
    assert told == [("12%", "energy"), ("3%", "chance"), ("7%", "ablation ASR")]
    assert "".join(piece.text for piece in said(text)) == text


def test_the_glossarys_page_has_every_word_under_a_heading() -> None:
    page = glossary.page()
    headings = re.findall(r"^## (.+)$", page, flags=re.MULTILINE)
    assert headings == [term.name for term in TERMS]
    assert [slugify(heading, "-") for heading in headings] == [term.anchor for term in TERMS]  # links lead to these


def test_a_number_in_a_sentence_is_explained_on_hover_and_in_print():
    weighed = "The score is 18, the REASR is 99%, p = 0.111. Layer 7 has 5 maps; the ablation ASR is 3%."
    page = Page("Scan", "Nothing.", [Section("One", "Its clean accuracy is 98.2%.")], weighed=weighed)
    text = render(page)
    names = [term.name for term in page.terms]
    wanted = {"18": "score", "99%": "REASR", "0.111": "p-value", "3%": "ablation ASR", "98.2%": "clean accuracy"}
    explained = re.findall(r'<abbr title="([^:"]+): ([^"]+)" data-word="(\d+)">([^<]+)</abbr>', text)
    assert {number: name for name, _, _, number in explained} == wanted
    for name, words, place, _ in explained:
        assert html.unescape(words) == meaning(name)
        assert names[int(place) - 1] == name  # the number in print is that of the list of words
    assert re.sub(r"<[^>]+>", "", text).count(weighed) == 1


def test_words_of_scans_and_of_siftings_are_explained_for_both() -> None:
    """A page of sifted images said that its threshold is evidence of a backdoor, and was fixed on other networks."""
    for word in ("threshold", "p-value"):
        assert "scan" in meaning(word)
        assert "sifting" in meaning(word)
        assert "clean images" in " ".join(meaning(word).split())
