"""Plain words: nothing that people read has to be read twice, and the median sentence of each page is short."""

from docs.making import words


def test_nothing_has_to_be_read_twice() -> None:
    assert list(words.riddles()) == []


def test_the_median_sentence_of_each_page_is_short() -> None:
    assert list(words.long_winded()) == []


def test_everything_that_people_read_is_looked_at() -> None:
    places = {text.place.partition(":")[0] for text in words.texts()}
    assert {"README.md", "docs/zoo.md", "src/trojancam/cli/scan.py", "src/trojancam/report/scan_words.py"} <= places
    assert "src/trojancam/report/templates/page.html.j2" in places
    assert any("If interrupted, run the same command again" in text.words for text in words.texts())


def test_sentences_are_counted_without_code_tables_and_numbers() -> None:
    page = (
        "# A title\n\nOne two three, 4.5 [6, 7]. Four five six seven.\n\n| a | b |\n\n"
        "- eight nine [ten](x.md)\n\n```\ncode\n```\n"
    )
    assert [len(sentence) for sentence in words.sentences(words.prose(page))] == [3, 4, 3]
    assert words.median(words.prose(page)) == 3
