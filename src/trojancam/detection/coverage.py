"""Coverage: which backdoors a scan looked for, where, and which it did not look for, with the reason."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from trojancam.attacks.families import FAMILIES
from trojancam.detection.track_record import TrackRecord
from trojancam.errors import DataError
from trojancam.records import Written
from trojancam.showing import Brief

Victims = Literal["every-class", "some-classes", "all-to-all"]
VICTIMS: dict[Victims, str] = {
    "every-class": "a trigger that sends images of every class to one",
    "some-classes": "a trigger that sends images of a few classes to one",
    "all-to-all": "a trigger that sends every class to another of its own",
}
NO_METHOD = "no method looks for it"
NOT_ASKED = "not asked for"
LATENT = "a trigger that is small only in a layer of the network"


class CannotSearchError(DataError):
    """The images or the network do not allow a search: others may go on without it."""


@dataclass(frozen=True)
class Searched(Written, Brief):
    """What one method looked for."""

    method: str
    families: Annotated[tuple[str, ...], Field(description="Of changes of images.")]
    victims: tuple[str, ...]
    where: str = ""


@dataclass(frozen=True)
class NotSearched(Written, Brief):
    """What was not looked for, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class Coverage(Written, Brief):
    """What a scan looked for, and what it did not."""

    searched: tuple[Searched, ...] = ()
    not_searched: tuple[NotSearched, ...] = ()
    track_record: Annotated[
        TrackRecord | None, Field(description="Of scans by the same methods; null where others were used.")
    ] = None

    def in_words(self) -> list[str]:
        """Two sentences for people, and how often such scans were right."""
        families = list(dict.fromkeys(each for search in self.searched for each in search.families))
        victims = list(dict.fromkeys(each for search in self.searched for each in search.victims))
        told = [f"Searched: {', '.join(families)}; victims: {', '.join(victims)}."] if families else []
        left = ", ".join(f"{each.what} ({each.why})" for each in self.not_searched)
        told += [f"Not searched: {left}."] if left else []
        return [*told, *(self.track_record.in_words() if self.track_record else ())]


def coverage(
    searched: Sequence[Searched],
    left_out: Mapping[str, str],
    searchable: Sequence[Searched],
    track_record: TrackRecord | None = None,
) -> Coverage:
    """What was looked for, and the rest: left out for a reason, by method; not asked for; or what no method looks for.

    `searchable` are the searches of all methods that there are.
    """
    reasons = {
        each: left_out[search.method]
        for search in searchable
        if search.method in left_out
        for each in (*search.families, *search.victims)
    }
    missing = []
    kinds: tuple[tuple[str, Sequence[str], dict[str, str]], ...] = (
        ("families", tuple(FAMILIES), {}),
        ("victims", tuple(VICTIMS), {str(name): words for name, words in VICTIMS.items()}),
    )
    for kind, every, words in kinds:
        done = {each for search in searched for each in getattr(search, kind)}
        possible = {each for search in searchable for each in getattr(search, kind)}
        missing += [
            NotSearched(
                words.get(each, f"{each} triggers"), reasons.get(each, NOT_ASKED if each in possible else NO_METHOD)
            )
            for each in every
            if each not in done
        ]
    told = {each for search in searched for each in (*search.families, *search.victims)}
    searches = {search.method: search for search in searchable}
    missing += [
        NotSearched(_more_closely(name, searches.get(name)), why)
        for name, why in left_out.items()
        if name not in searches or told.issuperset((*searches[name].families, *searches[name].victims))
    ]
    return Coverage(tuple(searched), (*missing, NotSearched(LATENT, NO_METHOD)), track_record)


def _more_closely(name: str, search: Searched | None) -> str:
    """What a method would have added where others looked for the same: of one that decides nothing, its opinion."""
    if search is None or not search.families:
        return f"what the method {name} looks for"
    return f"{_all_of(search.families)} more closely, by the method {name}"


def _all_of(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> _all_of(("blend", "stripes", "warp"))
    'blend, stripes and warp'
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
