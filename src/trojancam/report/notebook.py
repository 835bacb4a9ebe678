"""Results as notebooks show them: a sentence, a table, a picture; small, self-contained, and without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

import torch
from jaxtyping import Float
from torch import Tensor

from trojancam.attribution import Attribution, MapAttribution
from trojancam.detection.findings import ScanReport
from trojancam.detection.words import ANSWERS, maps_in_words, share
from trojancam.evaluation.comparison import Comparison
from trojancam.figures.atlas import Atlas, legend_png, level_atlas, picture_atlas, shrunk
from trojancam.figures.captions import DOT, cells, describe, number, probability
from trojancam.figures.colour import ColourScale, pixels
from trojancam.network.placement import Placement
from trojancam.network.recording import Recording
from trojancam.report.compare import overall_tables
from trojancam.report.glossary import Term, term_of
from trojancam.report.maps import data_uri
from trojancam.report.page import Table, environment, terms_of
from trojancam.showing import Named, brief
from trojancam.stimulation import Stimulated
from trojancam.tasks.compare import Summary

ROWS = 8  # images or findings in a table, at most
LAYERS = 12  # drawn side by side, at most
DRAWN = 4  # maps of images, at most
TILE = 48  # pixels of a tile's longer side, at least


@dataclass(frozen=True)
class ShownAtlas:
    """An atlas in a notebook: how wide it is shown, in pixels, and the colours of its scale with their words."""

    template = "drawing"
    atlas: Atlas
    caption: str
    scale: ColourScale | None = None
    peaks: bool = False

    @property
    def uri(self) -> str:
        """The picture as an address that a page can hold."""
        return data_uri(self.atlas.png)

    @property
    def width(self) -> int:
        """Tiles are enlarged by whole numbers."""
        factor = max(1, round(TILE / max(self.atlas.tile)))
        return factor * int.from_bytes(self.atlas.png[16:20], "big")

    @property
    def legend(self) -> tuple[str, list[str]] | None:
        """The colours of the scale, and the words below them; of scales that differ, `peak`."""
        if self.scale is None:
            return None
        words = ["−peak", "0", "peak"] if self.scale.signed else ["0", "half", "peak"]
        return data_uri(legend_png(self.scale)), words if self.peaks else [number(tick) for tick in self.scale.ticks]


@dataclass(frozen=True)
class ShownResult:
    """What is shown of a result."""

    title: str
    text: str = ""
    parts: Sequence[Table | ShownAtlas] = ()

    @property
    def terms(self) -> list[Term]:
        """The words that the glossary explains."""
        scale = (
            [term_of("Colour scale")] if any(isinstance(part, ShownAtlas) and part.scale for part in self.parts) else []
        )
        return terms_of([self.title, self.text], self.parts, scale)


def html_of(result: object) -> str:
    """A result as HTML; of one that nobody knows how to draw, its `repr`."""
    return environment().get_template("notebook.html.j2").render(shown=view_of(result))


@singledispatch
def view_of(result: object) -> ShownResult:
    """What is shown of a result: one function for each type."""
    return ShownResult(repr(result))


@view_of.register
def _(result: Attribution) -> ShownResult:
    count = len(result)
    text = " ".join(f"Image 0: {sentence}." for sentence in result.diagnoses(0))
    caption = f"The layer's map of the first {min(count, DRAWN)} images, each on a scale of its own."
    maps = _drawing(result.layer_map()[:DRAWN], result, caption, each=True)
    if isinstance(result, MapAttribution):
        return ShownResult(f"{describe(result)}{DOT}{_images(count)}", text, [maps])
    own = result.feature_maps()[0]
    grid = _drawing(own, result, f"Image 0: feature maps 0 to {len(own) - 1}, left to right, on one scale.")
    return ShownResult(f"{describe(result)}{DOT}{_images(count)}", text, [maps, grid])


@view_of.register
def _(result: Named) -> ShownResult:  # type: ignore[type-arg]  # a view is chosen by the class alone
    cams = [each for each in result.values() if isinstance(each, Attribution)]
    if not cams or len(cams) < len(result):
        rows = [[name, brief(each)] for name, each in result.items()]
        return ShownResult(repr(result), parts=[Table([result.kind.capitalize(), "Result"], rows, words=(0, 1))])
    rows = [[name, *_terms(cam), number(float(cam.layer_map()[0].amax()))] for name, cam in result.items()]
    table = Table(["Layer", "Feature maps", "Cells", "Largest value in image 0"], rows)
    drawn = cams[:LAYERS]
    maps = torch.stack([cam.heatmap()[0] for cam in drawn])
    scales = [ColourScale.of(each) for each in maps]
    caption = f"Image 0: {', '.join(list(result)[:LAYERS])}, each on a scale of its own."
    picture = ShownAtlas(level_atlas(_small(maps), scales), caption, _widest(scales), peaks=True)
    return ShownResult(f"{cams[0].method}{DOT}{cams[0].target}{DOT}{_images(len(cams[0]))}", parts=[picture, table])


@view_of.register
def _(result: Recording) -> ShownResult:
    answers = [
        [str(n), *_answer(logits), number(float(result.scores[n]))] for n, logits in enumerate(result.logits[:ROWS])
    ]
    layers = []
    for name, layer in result.layers.items():
        _, maps, height, width = layer.activations.shape
        layers.append([name, str(maps), f"{height}x{width}", number(float(layer.activations.amax()))])
    tables = [
        Table(["Image", "Predicted class", "Logit", "Probability", "Score"], answers),
        Table(["Layer", "Feature maps", "Cells", "Largest activation"], layers),
    ]
    count = len(result.logits)
    return ShownResult(f"A recording of {_images(count)}{DOT}{result.target}", _rest(count), tables)


@view_of.register
def _(result: Stimulated) -> ShownResult:
    rows = []
    for n, (before, after) in enumerate(zip(result.before.logits[:ROWS], result.after.logits[:ROWS], strict=True)):
        change = float(result.after.scores[n] - result.before.scores[n])
        rows.append([str(n), *_answer(before), *_answer(after), number(change)])
    headings = [
        "Image",
        "Class before",
        "Logit",
        "Probability",
        "Class after",
        "Logit",
        "Probability",
        "Change of the score",
    ]
    differences = torch.stack([result.difference(name)[0] for name in result.after.layers])
    scales = [ColourScale.of(each, signed=True) for each in differences]
    drawn = ShownAtlas(
        level_atlas(_small(differences), scales),
        f"Image 0: heat maps after less those before, of {', '.join(result.after.layers)}, each on its own scale.",
        _widest(scales), peaks=True,
    )  # fmt: skip
    title = "; ".join(str(each) for each in result.stimulations)
    return ShownResult(
        title, f"{result.after.target}. {_rest(len(result.before.logits))}", [Table(headings, rows), drawn]
    )


@view_of.register
def _(result: ScanReport) -> ShownResult:
    rows = [
        [
            result.class_names[each.target_class] if result.class_names else str(each.target_class), f"{each.score:.3g}",
            share(each.reasr), share(each.stimulation_asr), share(each.ablation_asr),
            maps_in_words(each.layer, each.feature_maps), each.detector,
        ]
        for each in result.findings[:ROWS]
    ]  # fmt: skip
    headings = ["Class", "Score", "REASR", "Stimulation ASR", "Ablation ASR", "Feature maps", "Method"]
    called = f"The score is {result.score:.3g}, a backdoor is called from {result.threshold:g} on."
    text = " ".join([called, *result.judgement.in_words(), *result.coverage.in_words(), *result.remarks])
    parts: list[Table | ShownAtlas] = [Table(headings, rows, words=(0, 5, 6))] if rows else []
    triggers = [each.trigger for each in result.findings[:DRAWN] if each.trigger is not None]
    if triggers:
        drawn = picture_atlas([pixels(trigger.picture()) for trigger in triggers])
        parts.append(ShownAtlas(drawn, "The recovered triggers of the strongest findings, over grey."))
    return ShownResult(ANSWERS[result.verdict], text, parts)


@view_of.register
def _(result: Comparison) -> ShownResult:
    summary = Summary(result)
    verdicts = ". ".join(summary.in_words())
    return ShownResult(f"Attribution methods on {_images(result.images)}", f"{verdicts}.", overall_tables(summary))


def _drawing(maps: Float[Tensor, "k h w"], result: Attribution, caption: str, *, each: bool = False) -> ShownAtlas:
    small, _ = shrunk(maps, result.placement)
    whole = ColourScale.of(maps)
    scales = [ColourScale.of(one) for one in maps] if each else [whole] * len(maps)
    return ShownAtlas(level_atlas(small, scales), caption, whole, peaks=each)


def _terms(cam: Attribution) -> tuple[str, str]:
    """How many feature maps an attribution is split into, and their cells."""
    maps = "–" if isinstance(cam, MapAttribution) else str(cam.contributions.shape[1])
    return maps, cells(cam)


def _small(maps: Float[Tensor, "k h w"]) -> Float[Tensor, "k _ _"]:
    return shrunk(maps, Placement())[0]


def _widest(scales: Sequence[ColourScale]) -> ColourScale:
    return max(scales, key=lambda scale: scale.limit)


def _answer(logits: Float[Tensor, " classes"]) -> list[str]:
    """The predicted class, its logit and its probability."""
    best = int(logits.argmax())
    chance = float(logits.double().softmax(0)[best])
    return [str(best), number(float(logits[best])), probability(chance).removeprefix("p ").removeprefix("= ")]


def _images(count: int) -> str:
    return f"{count} image{'s' * (count != 1)}"


def _rest(count: int) -> str:
    return f"The first {ROWS} of {count} images are listed." if count > ROWS else ""
