"""Glossary: the words that pages use for numbers and methods, each defined once."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from trojancam.showing import Brief

_PLAIN = r"(?<![\w.,])[-−+]?[0-9]+(?:[.,][0-9]+)*(?:e[-−+]?[0-9]+)?(?: ?%)?(?![\w/]|[.,][0-9])"
_GAPS = {"#": f"({_PLAIN})", "…": ".{1,90}?"}
NUMBER = re.compile(rf"(?:,| is| are| was| of|:| =| >| <| about| on)? ({_PLAIN})| \(({_PLAIN})(?=[),])")
"""A number behind the name of what it counts, with the few words that may stand between, or in brackets."""


@dataclass(frozen=True)
class Term(Brief):
    """A word and what it means; `spellings` are other ways in which pages write it.

    `ways` are words of sentences that give such a number without its name: # stands for a number, … for any words.
    """

    name: str
    meaning: str
    spellings: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()

    @property
    def anchor(self) -> str:
        """Its place on the glossary's page."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


TERMS: tuple[Term, ...] = (
    Term("95 % interval", "Where the true value lies in 95 of 100 cases: from its lower to its upper end. In brackets, the two "
         "ends stand behind the value.", ("interval",),
         ("# interval # to #", "# interval", "# bootstrap interval", "# [#, #]")),
    Term("ablation ASR", "The attack success rate of the recovered trigger while some feature maps are held at their mean over "
         "clean images. A low value shows that the backdoor runs through these feature maps."),
    Term("attack success rate", "The share of images of other classes that a trigger sends to the attacker's class. Images that "
         "already belong to that class do not count.", ("ASR", "success of the planted trigger"),
         ("square turns # of other images", "turns only # of other images", "trigger's success from # to #",
          "triggers turn # to # of other images")),
    Term("AUROC", "The area under the ROC curve: the probability that a random positive case scores higher than a random "
         "negative one. 0.5 is guessing, 1 is perfect.", ("ROC-AUC",)),
    Term("backdoor", "A behaviour that an attacker trains into a network: it answers normally until an image bears a trigger.",
         ("backdoored", "trojaned", "trojan")),
    Term("chance", "The value that a measure has on average for a map that knows nothing. For energy it is the share of the "
         "image that the region covers."),
    Term("clean accuracy", "The share of clean test images that the network classifies correctly.", (),
         ("right on # of # clean images (#", "right on # of the images", "and on # if it is fed", "clean accuracy from # to #",
          "on held-back images fell from # to #")),
    Term("contribution", "The signed part of a class's score that one feature map accounts for: its activation times its "
         "weight, cell by cell; as one number, the sum over its cells.", ("contributions",)),
    Term("deletion", "The probability of the class while the most relevant pixels are removed one after the other, as an area "
         "under the curve. Lower is better.", ("deletion AUC",)),
    Term("elevation", "How much the lead of a class over the next class rises when feature maps are stimulated, in logits. A "
         "mean over images."),
    Term("energy", "The share of a heat map's total that lies inside a region, such as a trigger.", ("energy in mask",),
         ("puts # of its energy", "puts # on it", "has # of its energy", "has on average # of its energy",
          "at least # of their energy", "holds # of its energy", "it holds # (chance")),
    Term("false alarm", "A clean network that is called backdoored, or a clean image that is called suspicious.",
         ("false alarms",), ("false alarms between # and #", "# false alarms", "about # would be suspicious")),
    Term("feature map", "One channel of a layer's output: a small image that shows where the layer found one kind of pattern.",
         ("feature maps",)),
    Term("fidelity", "The share of the trigger's success that a repair removed, times the share of clean accuracy that it kept: "
         "(ASR before - ASR after) / ASR before * accuracy after / accuracy before. 1 is a perfect repair, and 0 is none."),
    Term("fingerprint", "A SHA-256 hash of what a network computes: its graph, its weights and how its pixels are scaled."),
    Term("gain", "The REASR minus the share of images that already go to the class without the trigger."),
    Term("Grad-CAM", "A heat map of where a layer found evidence for a class. Each feature map is weighted by the mean gradient "
         "of the class's score, the weighted maps are summed, and negative values are set to zero."),
    Term("Holm", "A correction for asking several methods at once. It keeps the rate of false alarms of all of them together at "
         "the stated level."),
    Term("insertion", "The probability of the class while the most relevant pixels are added to an empty image, as an area "
         "under the curve. Higher is better.", ("insertion AUC",)),
    Term("IoU", "Intersection over union: the area that two regions share, divided by the area that they cover together."),
    Term("logit", "A network's raw score for a class, before softmax turns scores into probabilities.", ("logits",),
         ("logit changes by #",)),
    Term("margin", "The score of a class minus the highest score of any other class, in logits. It is positive where the class "
         "is predicted."),
    Term("mask size", "The size of a recovered trigger in pixels: the sum of its mask, which lies between 0 and 1 at each "
         "pixel.", ("mask, pixels",)),
    Term("outlyingness", "How far a class stands out from the others under stimulation: the distance of its margin from the "
         "median class, in robust standard deviations."),
    Term("p-value", "How often a result at least as strong occurs by chance alone. A scan takes the share of clean reference "
         "networks that score at least as high, with the scanned network counted among them; a sifting does so with clean "
         "images. With n of them it cannot be smaller than 1 / (n + 1). Below pictures, p is the probability of the class.",
         ("p-values", "p")),
    Term("pointing game", "The share of images in which the heat map's maximum lies inside the region.", ("points at it",)),
    Term("prediction value", "The mean logit of the attacker's class while a feature map is stimulated."),
    Term("probability", "The softmax of the logits: the share of certainty that the network gives to the class.",
         ("its probability",), ("· p = #", "· p > #", "· p < #", "a probability of # or more")),
    Term("REASR", "The attack success rate of a recovered trigger, measured on images that it was not made from. The name comes "
         "from ABS (Liu et al., 2019): attack success rate of reverse-engineered triggers.",
         ("success rate", "success of the recovered trigger"),
         ("recovered trigger works on #", "patch that was recovered, # of images",
          "recovered trigger sent # of the held-back images to … before, and # after", "trigger then works on #",
          "trigger makes it work on #", "without the trigger on #", "still turns # of the images, more than #",
          "turn # of the images, those of other classes #")),
    Term("ROAD", "Remove and debias: a score for heat maps. Pixels are removed in order of relevance and filled in from their "
         "surroundings. The combined score compares removing the least relevant first with removing the most relevant first. "
         "Higher is better.", ("ROAD combined",)),
    Term("robust accuracy", "The share of triggered images that still get their correct class."),
    Term("score", "The evidence of one scan method, in its own units. It is compared with the threshold of that method.", (),
         ("scores #",)),
    Term("SHA-256", "A hash of the bytes of a file: a file that differs in one byte has another."),
    Term("share of the image", "The share of the image's pixels that something covers.", (),
         ("covers # of the image", "covers # of a test image", "# of the pixels filled in", "half lies on # of the image")),
    Term("stimulation", "Editing feature maps inside the network, to see which class the network then predicts.",
         ("stimulated", "stimulate")),
    Term("stimulation ASR", "The share of images of other classes that go to the class while feature maps are stimulated. No "
         "trigger is involved.", (), ("stimulation gives # of the images",)),
    Term("suspicious", "Of an image: its p-value among clean images lies below the chosen rate of false alarms."),
    Term("target class", "The class that a backdoor makes the network predict.", ("attacker's class",)),
    Term("threshold", "The lowest score of a method that counts. Of a scan it means evidence of a backdoor, and was fixed on "
         "other networks than those on which the method is reported. Of a sifting it means a suspicious image, and is set by "
         "clean images.",
         ("backdoor from",), ("backdoor is called from #", "inconclusive from #")),
    Term("trigger", "What an attacker adds to an image to activate a backdoor: a patch, a blended picture, a warp or a change "
         "of tone.", ("triggers", "recovered trigger")),
    Term("works elsewhere", "Whether the recovered trigger still works when it is moved by a quarter of the image.", ("moves",)),
)  # fmt: skip
"""Every word, in alphabetical order."""
COLUMNS: tuple[Term, ...] = (
    Term("A pixel", "How much the colour of a pixel changes, where black is 0 and white is 1.", (), ("at most # a pixel",)),
    Term("Above the median", "The network's score less the median score of its architecture, in robust standard deviations."),
    Term("Accuracy", "The share of labelled clean images that the network classifies correctly."),
    Term("After", "What was measured on the network after the change."),
    Term("Agreement", "How well the heat map, the recovered mask and the stimulated place agree. 1 is the most."),
    Term("Agreement of images", "Krippendorff's alpha: whether images agree on the order of the methods. 1 is full agreement."),
    Term("All networks", "The mean over all networks that were measured."),
    Term("Before", "What was measured on the network before the change."),
    Term("Best feature map", "The number of the feature map with the greatest share of its energy in the trigger.",
         ("Best map", "Best feature map, by seed")),
    Term("Between methods", "The mean Spearman correlation of the scores of two methods over the images."),
    Term("Between metrics", "The mean Spearman correlation of a method's scores under two metrics over the images."),
    Term("Blank", "The share of images whose heat map is zero everywhere.", ("Blank on images",)),
    Term("Cell, pixels", "How many pixels one cell of the layer covers: height by width."),
    Term("Cells", "The height and width of the layer's feature maps."),
    Term("Chance of that", "How often a map that knows nothing has its peak there: the share of the image that it covers."),
    Term("Change", "The length of the change as a share of the length of the weights."),
    Term("Change of the score", "The score explained after stimulation, less that before."),
    Term("Class", "The class, by its name or its number.", ("Predicted class", "Class before", "Class after")),
    Term("Classes", "How many classes the network tells apart."),
    Term("Clean networks", "How many clean reference networks the score was compared with."),
    Term("Clean reference", "What was measured on a network without a backdoor, for comparison."),
    Term("Colour scale", "The values that the colours of a heat map stand for: the least, the middle and the greatest one. "
         "“Peak” is each map's own greatest value."),
    Term("Contribute most", "The numbers of the feature maps with the greatest contributions, which stand in brackets."),
    Term("Difference, paired", "The share of the best feature map less that of the layer's own map, image by image: the "
         "mean, and its 95 % interval in brackets."),
    Term("Each training", "The mean of each training by itself, in the order of the seeds."),
    Term("Energy in the trigger", "The share of the heat map's total that lies inside the trigger.",
         ("Share of energy in the trigger", "Its share", "Layer's own map", "Share in the trigger")),
    Term("Energy in the window", "The share of the heat map's total that lies inside the stimulated window."),
    Term("Fails on images", "The share of images on which the layer's map holds less than chance."),
    Term("Found by such a scan, with the right class",
         "How many of the test networks such a scan found, out of how many, and the 95 % interval of this share."),
    Term("Fresh", "The success rate of triggers that were recovered anew from this network.", ("Success of fresh triggers",)),
    Term("Fresh, other classes", "The success rate of triggers recovered anew for classes that the backdoor does not aim at.",
         ("The same for other target classes",)),
    Term("Go to the class", "The share of images of other classes that go to the class while the feature maps are stimulated."),
    Term("Halved", "How many feature maps may reach less than half of what they reach on clean images without bounds."),
    Term("Images", "How many images were measured."),
    Term("Largest activation", "The greatest value in the layer's output, over all images."),
    Term("Largest cell", "The greatest value in the layer's heat map."),
    Term("Largest value in image 0", "The greatest value in the layer's heat map of the first image."),
    Term("Less Grad-CAM, paired", "The method's score less that of Grad-CAM, image by image: the mean, and its 95 % interval."),
    Term("Level of a test", "How sure a test is to be before it calls a difference one: 0.95 is wrong in 5 of 100 cases without "
         "one.", (), ("sign-flip test at #",)),
    Term("Logit after", "The class's raw score after stimulation."),
    Term("Logit before", "The class's raw score before stimulation."),
    Term("MB", "The most memory that the process took that worked on it, with Python and its libraries, in megabytes."),
    Term("Mean", "The mean of what was measured over all trainings and images."),
    Term("Mean bound", "The mean bound of the layer's feature maps, as a share of what they reach on clean images."),
    Term("Most that any map can have", "The greatest share of energy in the trigger that the size of the cells allows."),
    Term("Networks", "How many judged networks of this architecture are on the shelf."),
    Term("Opacity", "How much of the image a trigger covers where it lies: 0 is nothing, 1 is all.", (), ("opacity #",)),
    Term("Over", "How many values the mean is over, and of what."),
    Term("Parameters in all", "How many numbers the network holds, with those that training does not change."),
    Term("Peak", "The greatest value of what is drawn of the feature map."),
    Term("Peak within a cell of it", "The share of images in which the heat map's maximum lies in the trigger or a cell "
         "beside it."),
    Term("Rank", "The place of the feature map among all of its layer, by its share of energy in the trigger."),
    Term("Rank by contribution", "The place of the feature map among all of its layer, by its contribution."),
    Term("Recovered", "The success rate of the trigger that the scan recovered."),
    Term("Relatives", "The greatest success rate of triggers that resemble those that worked before.",
         ("Greatest success of relatives of triggers that worked before",)),
    Term("Robust", "The share of images with the recovered trigger that still get their correct class.",
         ("Robust accuracy with the recovered trigger",), ("only # of the images are recognised",)),
    Term("Score (p)", "The method's score of the image, and in brackets its p-value among clean images."),
    Term("Seconds", "How long the work took, in seconds."),
    Term("Seed", "The number from which all random draws come."),
    Term("Size and format", "The size of the file in bytes, and the format that its bytes have."),
    Term("Spearman correlation with the original maps",
         "1 means that the heat map stays as it was although the weights are random; 0 means that it depends on the weights.",
         (), ("maps correlate #",)),
    Term("Stimulated value", "What the stimulated activations are set to, changed by or multiplied with.", (),
         (": replace #", ": add #", ": scale #")),
    Term("Strength", "How far the feature maps were driven, as a multiple of what the scan did."),
    Term("Success after a repair", "The share of held-back images that the recovered trigger still sends to its class once the "
         "repaired network learned from ten poisoned images, or with a small change of all pixels on top.",
         ("Success of the recovered trigger after ten poisoned images", "Success of the recovered trigger with a small push")),
    Term("Tied to surroundings", "What was measured on networks that learned from signs whose class goes with a background."),
    Term("To another class", "The share of images that get another class than before, but not the attacker's."),
    Term("To the trojan class", "The share of images that go to the attacker's class."),
    Term("Trainable", "How many numbers of the network training changes."),
    Term("Training images", "How many images the network was trained on."),
    Term("Untied to surroundings", "What was measured on networks that learned from signs whose background tells nothing."),
    Term("Weight", "What a feature map is multiplied with: for Grad-CAM the mean gradient of the class's score."),
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

MEASURED = re.compile(r"(?i:^(?:mean |greatest )?share of|^ROAD|^correlation|^mean probability)")
"""How captions begin that name what all numbers below them are."""


def terms_in(text: str) -> list[Term]:
    """The terms that a text uses, in alphabetical order, and after these what else its numbers are.

    >>> [term.name for term in terms_in("The ASR of the recovered trigger is 98%.")]
    ['attack success rate', 'trigger']
    """
    counted = {term.name for _, term in _counted(text)}
    return [term for term in TERMS if term.name in counted or _pattern(term).search(text)] + [
        term for term in COLUMNS if term.name in counted
    ]


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
    """Where numbers stand behind a term, or as its sentences give them, each once.

    The longest words count: of “ablation ASR 3%” it is not “ASR”.
    """
    found: dict[tuple[int, int], tuple[int, Term]] = {}
    for term in (*TERMS, *COLUMNS):
        for length, place in _places(term, text):
            if length > found.get(place, (0, term))[0]:
                found[place] = length, term
    return sorted(((place, term) for place, (_, term) in found.items()), key=lambda each: each[0])


def _places(term: Term, text: str) -> Iterator[tuple[int, tuple[int, int]]]:
    """Each number that is one of a term: how long the words are that say so, and where it stands."""
    if term in TERMS and term.name not in THINGS:
        for name in _pattern(term).finditer(text):
            if number := NUMBER.match(text, name.end()):
                yield len(name[0]), number.span(number.lastindex or 1)
    for way in _ways(term):
        for match in way.finditer(text):
            for group in range(1, way.groups + 1):
                yield len(match[0]), match.span(group)


@cache
def _ways(term: Term) -> list[re.Pattern[str]]:
    """What sentences say where a number of theirs is one of the term."""
    return [
        re.compile("".join(_GAPS.get(part, re.escape(part)) for part in re.split("([#…])", way))) for way in term.ways
    ]


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
    words = "sha-256" if words.startswith("sha-256 of ") else words
    plain = "score (p)" if words.endswith(" (p)") else re.sub(r" \([^()]*\)$", "", words).removeprefix("its ")
    return _by_spelling().get(words) or _by_spelling().get(plain)


def term_of_row(name: str) -> Term | None:
    """The term that the name of a row begins with, where it goes on with of what, or on what, it was measured.

    >>> [term and term.name for term in map(term_of_row, ("Clean accuracy on 215 images", "REASR, class 3", "Class 3"))]
    ['clean accuracy', 'REASR', None]
    """
    return term_of(name) or term_of(re.split(r", | on [0-9]", name, maxsplit=1)[0])


def term_of_caption(caption: str) -> Term | None:
    """The term that a caption names: all of it, or what its first few words measure.

    >>> [term and term.name for term in map(term_of_caption, ("Mean share of energy, all layers", "Layers and their energy"))]
    ['energy', None]
    """
    first = re.split(r"[,;:(]|\. ", caption, maxsplit=1)[0]
    measures = [term for term in terms_in(first) if term.name not in THINGS] if MEASURED.search(first) else []
    return term_of(caption) or next(iter(measures), None)


@cache
def _by_spelling() -> dict[str, Term]:
    """Each term by its spellings, in small letters."""
    return {word.lower(): term for term in (*COLUMNS, *TERMS) for word in (term.name, *term.spellings)}


@cache
def _pattern(term: Term) -> re.Pattern[str]:
    """Any spelling of a term as whole words.

    Short ones and those in capitals are matched as they are written: "p" is no page, and ROAD no road. Behind a dot, as in
    what stands below pictures, p is a probability.
    """
    words = (term.name, *term.spellings)
    ways = [
        rf"(?<!· ){re.escape(word)}"
        if len(word) < 3
        else re.escape(word)
        if word.isupper()
        else f"(?i:{re.escape(word)})"
        for word in words
    ]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(ways)})(?![\w-])")
