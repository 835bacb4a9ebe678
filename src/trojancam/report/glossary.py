"""Glossary: the words that pages use for numbers and methods, each defined once."""

import re
from dataclasses import dataclass
from functools import cache

from trojancam.showing import Brief

NUMBER = re.compile(r"(?:,| is| are| was| of|:| =| about| on)? (-?[0-9]+(?:[.,][0-9]+)*(?: ?%)?)(?![\w/])")
"""A number behind the name of what it counts, with the few words that may stand between."""


@dataclass(frozen=True)
class Term(Brief):
    """A word and what it means; `spellings` are other ways in which pages write it."""

    name: str
    meaning: str
    spellings: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """Its place on the glossary's page."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


TERMS: tuple[Term, ...] = (
    Term("ablation ASR", "The attack success rate of the recovered trigger while some feature maps are held at their mean over "
         "clean images. A low value shows that the backdoor runs through these feature maps."),
    Term("attack success rate", "The share of images of other classes that a trigger sends to the attacker's class. Images that "
         "already belong to that class do not count.", ("ASR",)),
    Term("AUROC", "The area under the ROC curve: the probability that a random positive case scores higher than a random "
         "negative one. 0.5 is guessing, 1 is perfect.", ("ROC-AUC",)),
    Term("backdoor", "A behaviour that an attacker trains into a network: it answers normally until an image bears a trigger.",
         ("backdoored", "trojaned", "trojan")),
    Term("chance", "The value that a measure has on average for a map that knows nothing. For energy it is the share of the "
         "image that the region covers."),
    Term("clean accuracy", "The share of clean test images that the network classifies correctly."),
    Term("contribution", "The signed part of a class's score that one feature map accounts for: its activation times its "
         "weight, cell by cell.", ("contributions",)),
    Term("deletion", "The probability of the class while the most relevant pixels are removed one after the other, as an area "
         "under the curve. Lower is better.", ("deletion AUC",)),
    Term("elevation", "How much the lead of a class over the next class rises when feature maps are stimulated, in logits. A "
         "mean over images."),
    Term("energy", "The share of a heat map's total that lies inside a region, such as a trigger.", ("energy in mask",)),
    Term("false alarm", "A clean network that is called backdoored, or a clean image that is called suspicious.",
         ("false alarms",)),
    Term("feature map", "One channel of a layer's output: a small image that shows where the layer found one kind of pattern.",
         ("feature maps",)),
    Term("fingerprint", "A SHA-256 hash of what a network computes: its graph, its weights and how its pixels are scaled."),
    Term("gain", "The REASR minus the share of images that already go to the class without the trigger."),
    Term("Grad-CAM", "A heat map of where a layer found evidence for a class. Each feature map is weighted by the mean gradient "
         "of the class's score, the weighted maps are summed, and negative values are set to zero."),
    Term("Holm", "A correction for asking several methods at once. It keeps the rate of false alarms of all of them together at "
         "the stated level."),
    Term("insertion", "The probability of the class while the most relevant pixels are added to an empty image, as an area "
         "under the curve. Higher is better.", ("insertion AUC",)),
    Term("IoU", "Intersection over union: the area that two regions share, divided by the area that they cover together."),
    Term("logit", "A network's raw score for a class, before softmax turns scores into probabilities.", ("logits",)),
    Term("margin", "The score of a class minus the highest score of any other class, in logits. It is positive where the class "
         "is predicted."),
    Term("mask size", "The size of a recovered trigger in pixels: the sum of its mask, which lies between 0 and 1 at each "
         "pixel.", ("mask, pixels",)),
    Term("outlyingness", "How far a class stands out from the others under stimulation: the distance of its margin from the "
         "median class, in robust standard deviations."),
    Term("p-value", "How often a result at least as strong occurs by chance alone. A scan takes the share of clean reference "
         "networks that score at least as high, with the scanned network counted among them. With n reference networks that "
         "cannot be smaller than 1 / (n + 1).", ("p-values", "p")),
    Term("pointing game", "The share of images in which the heat map's maximum lies inside the region.", ("points at it",)),
    Term("prediction value", "The mean logit of the attacker's class while a feature map is stimulated."),
    Term("REASR", "The attack success rate of a recovered trigger, measured on images that it was not made from. The name comes "
         "from ABS (Liu et al., 2019): attack success rate of reverse-engineered triggers.", ("success rate",)),
    Term("ROAD", "Remove and debias: a score for heat maps. Pixels are removed in order of relevance and filled in from their "
         "surroundings. The combined score compares removing the least relevant first with removing the most relevant first. "
         "Higher is better.", ("ROAD combined",)),
    Term("robust accuracy", "The share of triggered images that still get their correct class."),
    Term("score", "The evidence of one scan method, in its own units. It is compared with the threshold of that method."),
    Term("stimulation", "Editing feature maps inside the network, to see which class the network then predicts.",
         ("stimulated", "stimulate")),
    Term("stimulation ASR", "The share of images of other classes that go to the class while feature maps are stimulated. No "
         "trigger is involved."),
    Term("suspicious", "Of an image: its p-value among clean images lies below the chosen rate of false alarms."),
    Term("target class", "The class that a backdoor makes the network predict.", ("attacker's class",)),
    Term("threshold", "The lowest score of a method that counts as evidence of a backdoor. It was fixed on other networks than "
         "those on which the method is reported."),
    Term("trigger", "What an attacker adds to an image to activate a backdoor: a patch, a blended picture, a warp or a change "
         "of tone.", ("triggers", "recovered trigger")),
    Term("works elsewhere", "Whether the recovered trigger still works when it is moved by a quarter of the image.", ("moves",)),
)  # fmt: skip
"""Every word, in alphabetical order."""
COLUMNS: tuple[Term, ...] = (
    Term("Above the median", "The network's score less the median score of its architecture, in robust standard deviations."),
    Term("Accuracy", "The share of labelled clean images that the network classifies correctly."),
    Term("After", "What was measured on the network after the change."),
    Term("Agreement", "How well the heat map, the recovered mask and the stimulated place agree. 1 is the most."),
    Term("Agreement of images", "Krippendorff's alpha: whether images agree on the order of the methods. 1 is full agreement."),
    Term("Backdoor from", "The lowest score of the method that counts as evidence of a backdoor."),
    Term("Before", "What was measured on the network before the change."),
    Term("Best feature map", "The number of the feature map with the greatest share of its energy in the trigger."),
    Term("Between methods", "The mean Spearman correlation of the scores of two methods over the images."),
    Term("Between metrics", "The mean Spearman correlation of a method's scores under two metrics over the images."),
    Term("Blank", "The share of images whose heat map is zero everywhere.", ("Blank on images",)),
    Term("Cells", "The height and width of the layer's feature maps."),
    Term("Change", "The length of the change as a share of the length of the weights."),
    Term("Clean networks", "How many clean reference networks the score was compared with."),
    Term("Clean reference", "What was measured on a network without a backdoor, for comparison."),
    Term("Contribute most", "The numbers of the feature maps with the greatest contributions, which stand in brackets."),
    Term("Energy in the trigger", "The share of the heat map's total that lies inside the trigger.",
         ("Share of energy in the trigger", "Its share", "Layer's own map")),
    Term("Found by such a scan, with the right class",
         "How many of the test networks such a scan found, out of how many, and the 95 % interval of this share."),
    Term("Fresh", "The success rate of triggers that were recovered anew from this network."),
    Term("Fresh, other classes", "The success rate of triggers recovered anew for classes that the backdoor does not aim at."),
    Term("Images", "How many images were measured."),
    Term("Largest cell", "The greatest value in the layer's heat map."),
    Term("Logit after", "The class's raw score after stimulation."),
    Term("Logit before", "The class's raw score before stimulation."),
    Term("MB", "The most memory that the process took that worked on it, with Python and its libraries, in megabytes."),
    Term("Networks", "How many judged networks of this architecture are on the shelf."),
    Term("Probability", "The softmax of the logits: the share of certainty that the network gives to the class.",
         ("Its probability",)),
    Term("Rank", "The place of the feature map among all of its layer, by its share of energy in the trigger."),
    Term("Recovered", "The success rate of the trigger that the scan recovered."),
    Term("Relatives", "The greatest success rate of triggers that resemble those that worked before."),
    Term("Robust", "The share of images with the recovered trigger that still get their correct class."),
    Term("Score (p)", "The method's score of the image, and in brackets its p-value among clean images."),
    Term("Seconds", "How long the work took, in seconds."),
    Term("Spearman correlation with the original maps",
         "1 means that the heat map stays as it was although the weights are random; 0 means that it depends on the weights."),
    Term("Training images", "How many images the network was trained on."),
    Term("Weights", "How many weights the module has."),
    Term("With the mask", "The correlation of the layer's heat map with the recovered mask. 1 is the most."),
    Term("With the place", "The correlation of the layer's heat map with the stimulated place. 1 is the most."),
)  # fmt: skip
"""Headings of columns of numbers that are too plain to be terms in sentences, and what stands below them."""
THINGS = (
    "backdoor", "feature map", "fingerprint", "Grad-CAM", "Holm", "stimulation", "suspicious", "target class", "trigger",
    "works elsewhere",
)  # fmt: skip
"""Words for things and methods: a number behind one of them is no measure of it."""


def terms_in(text: str) -> list[Term]:
    """The terms that a text uses, in alphabetical order.

    >>> [term.name for term in terms_in("The ASR of the recovered trigger is 98%.")]
    ['attack success rate', 'trigger']
    """
    return [term for term in TERMS if _pattern(term).search(text)]


@dataclass(frozen=True)
class Said(Brief):
    """A piece of a text; `term` is what a number in it counts, where the words beside it say so and the glossary knows them."""

    text: str
    term: Term | None = None


def said(text: str) -> list[Said]:
    """A text in pieces: numbers that stand beside the name of what they count, and what lies between.

    A number behind a thing that is not measured, such as a feature map, is its number or that of something else.

    >>> [(piece.text, piece.term.name) for piece in said("Its score is 18, and p = 0.111; feature map 5.") if piece.term]
    [('18', 'score'), ('0.111', 'p-value')]
    """
    pieces, end = list[Said](), 0
    for found, term in _counted(text):
        pieces += [Said(text[end : found[0]]), Said(text[slice(*found)], term)]
        end = found[1]
    return [piece for piece in (*pieces, Said(text[end:])) if piece.text]


def _counted(text: str) -> list[tuple[tuple[int, int], Term]]:
    """Where numbers stand behind a term, each once; the longest term counts: of “ablation ASR 3%” it is not “ASR”."""
    found: dict[tuple[int, int], tuple[int, Term]] = {}
    for term in TERMS:
        if term.name in THINGS:
            continue
        for name in _pattern(term).finditer(text):
            number = NUMBER.match(text, name.end())
            if number and len(name[0]) > found.get(number.span(1), (0, term))[0]:
                found[number.span(1)] = len(name[0]), term
    return sorted(((place, term) for place, (_, term) in found.items()), key=lambda each: each[0])


def meaning(words: str) -> str:
    """What a heading or the name of a number means; empty where the glossary has no such term.

    >>> meaning("Stimulation ASR")[:27], meaning("Layer")
    ('The share of images of othe', '')
    """
    term = term_of(words)
    return term.meaning if term else ""


def term_of(heading: str) -> Term | None:
    """The term that a heading names; what stands in brackets behind it, such as a unit, may be left out.

    >>> [term and term.name for term in map(term_of, ("Prediction value (logit)", "STRIP (p)", "Layer"))]
    ['prediction value', 'Score (p)', None]
    """
    words = heading.strip().lower()
    plain = "score (p)" if words.endswith(" (p)") else re.sub(r" \([^()]*\)$", "", words).removeprefix("its ")
    return _by_spelling().get(words) or _by_spelling().get(plain)


@cache
def _by_spelling() -> dict[str, Term]:
    """Each term by its spellings, in small letters."""
    return {word.lower(): term for term in (*COLUMNS, *TERMS) for word in (term.name, *term.spellings)}


@cache
def _pattern(term: Term) -> re.Pattern[str]:
    """Any spelling of a term as whole words. Short ones are matched as they are written: "p" is no page."""
    words = (term.name, *term.spellings)
    ways = [re.escape(word) if len(word) < 3 else f"(?i:{re.escape(word)})" for word in words]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(ways)})(?![\w-])")
