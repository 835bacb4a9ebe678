"""Text: names of files are bytes, and not always text; what is shown, written or compared is."""

import re
from pathlib import PurePath

MINUS = "\N{MINUS SIGN}"
_NEGATIVE = re.compile(
    r"(?<![\w.,)\]–−-])-(\d+(?:[.,]\d+)*(?:e[-+−]?\d+)?)(?![\w'\"/]|[.,]\w)"
)  # no name, such as "-3.png"
_NO_TEXT = re.compile("[\ud800-\udfff]")
_BYTES = 0xDC00  # Python stands a byte that is no text for by the code point so far behind it


def as_text(name: str | PurePath) -> str:
    r"""The name with bytes that are no text escaped, so that it can be written anywhere as UTF-8.

    >>> import os
    >>> print(as_text(os.fsdecode(b"caf\xe9.png")), as_text("café.png"))
    caf\xe9.png café.png
    """
    text = str(name)
    return text if text.isascii() else _NO_TEXT.sub(_escaped, text)


def _escaped(match: "re.Match[str]") -> str:
    number = ord(match.group())
    return f"\\x{number - _BYTES:02x}" if 0 < number - _BYTES <= 0xFF else f"\\u{number:04x}"  # fmt: skip


def printable(words: str) -> str:
    r"""The words with control characters escaped: a file's name must not steer the terminal.

    >>> print(printable("a\x1b[31m\n.png"))
    a\x1b[31m\n.png
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in as_text(words))


def with_article(noun: str) -> str:
    """A noun with its indefinite article, by its first letter.

    >>> with_article("attribution method"), with_article("Tensor")
    ('an attribution method', 'a Tensor')
    """
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def with_minus(words: str) -> str:
    """The words with the hyphen in front of each number as the minus that it is, and zeros without one.

    Numbers in names and ranges stay as they are.

    >>> with_minus("-0.03 [-0.14, -0.00], p = 3e-5"), with_minus("net-3.pt, -3.png, 2-3")
    ('−0.03 [−0.14, 0.00], p = 3e-5', 'net-3.pt, -3.png, 2-3')
    """
    return _NEGATIVE.sub(lambda found: f"{MINUS if found[1].strip('0.,') else ''}{found[1]}", words)
