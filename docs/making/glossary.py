"""Glossary: the page of it, from the terms that reports explain, too; `docs.making.written` writes it."""

from trojancam.report.glossary import TERMS

HEAD = """# Glossary

These words stand on pages, in the explorer and in `results.json`. The pages that commands write explain the words that they use.
"""


def page() -> str:
    """Every term under a heading of its own, so that it can be linked to: the anchor is what a heading makes of the name."""
    parts = [HEAD]
    for term in TERMS:
        also = f"\n\n*Also written:* {', '.join(term.spellings)}." if term.spellings else ""
        parts.append(f"## {term.name}\n\n{term.meaning}{also}\n")
    return "\n".join(parts)
