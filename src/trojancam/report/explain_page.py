"""The page of explained images: what the network reads in each, where every layer and feature map sees it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from trojancam.attribution import Attribution
from trojancam.figures.captions import DOT, number, percent, probability
from trojancam.report.documents.explain import Explain, ExplainedImage, ExplainedLayer
from trojancam.report.maps import Backdrop, Mask, feature_maps, layer_maps
from trojancam.report.page import Page, Part, Section, Table, in_plain_words

SHOWN = 24  # images, at most, that a page draws: it is to be mailed
SURE = 0.9  # probability
LISTED = 3  # feature maps of a layer in the table, and classes of an image
NAMED = 3  # classes in the verdict


def explained_page(results: Explain, sections: Sequence[Section]) -> Page:
    """The page of `results`, with a section for each image that is drawn."""
    rows, left_out = results.images, results.left_out
    parts = [_overview(rows, len(sections))] if len(rows) > 1 else []
    parts += sections
    if left_out:
        table = Table(["File and reason"], [[line] for line in left_out])
        parts.append(Section("Left out", "These files could not be read.", [table]))
    return Page(
        title=f"Explained: {_title(rows)}, by {results.network}",
        verdict=" ".join([_verdict(rows), *_trigger_in_words(results)]),
        sections=parts,
        details=_details(results),
        answer=rows[0].predicted_name if len(rows) == 1 else "",
        tone="plain",
        weighed=_weighed(rows),
    )


def image_section(
    numbers: ExplainedImage,
    image: Float[Tensor, "3 h w"],
    attributions: Mapping[str, Attribution],
    index: int,
    mask: Mask | None,
    scale: str,
    signed: bool,
) -> Section:
    """What was found in one image: the heat maps of all layers, the numbers behind them and, where known, all feature maps."""
    backdrop = Backdrop.of(image, mask)
    outlined = " The trigger is outlined." if mask is not None else ""
    parts: list[Part] = [layer_maps(image, attributions, index, backdrop), _classes(numbers), _layers(numbers)]
    for name, found in numbers.layers.items():
        if found.feature_maps is not None:
            parts.append(
                feature_maps(
                    attributions[name],
                    index,
                    backdrop,
                    found.feature_maps.model_dump(exclude_unset=True),
                    title=f"{name}: feature maps of {Path(numbers.file).name}",
                    caption=_grid_caption(found, scale, signed) + outlined,
                    scale=scale,
                    signed=signed,
                )
            )
    return Section(Path(numbers.file).name, " ".join(_image_in_words(numbers)), parts)


def _grid_caption(found: ExplainedLayer, scale: str, signed: bool) -> str:
    count, (height, width) = found.number_of_feature_maps, found.cells
    what = (
        "what speaks for the class is red, against it blue"
        if signed
        else "the redder, the more it speaks for the class"
    )
    shared = "all on one scale" if scale == "shared" else "each on a scale of its own"
    return f"{count} feature maps of {height}x{width} cells, from 0 on: {what}; {shared}."


def _title(rows: Sequence[ExplainedImage]) -> str:
    return Path(rows[0].file).name if len(rows) == 1 else f"{len(rows)} images"


def _verdict(rows: Sequence[ExplainedImage]) -> str:
    explained = {row.explained_name for row in rows if row.explained_class != row.predicted_class}
    shown = f"The heat maps show what speaks for “{explained.pop()}”." if len(explained) == 1 else ""
    if len(rows) == 1:
        return f"The network reads this image as “{rows[0].predicted_name}”. {shown}".strip()
    counts = Counter(row.predicted_name for row in rows).most_common()
    if len(counts) == 1:
        return f"The network reads all {len(rows)} images as “{counts[0][0]}”. {shown}".strip()
    told = [f"{count} as “{name}”" for name, count in counts[:NAMED]]
    rest = sum(count for _, count in counts[NAMED:])
    told += [f"{rest} as something else"] if rest else []
    return f"Of {len(rows)} images, the network reads {', '.join(told[:-1])} and {told[-1]}. {shown}".strip()


def _weighed(rows: Sequence[ExplainedImage]) -> str:
    """How sure the network is, whatever that is worth."""
    if len(rows) == 1:
        best, *others = rows[0].classes
        after = f"; the next class, “{others[0].name}”, has {_unbroken(others[0].probability)}" if others else ""
        return f"Confidence of the network: {_unbroken(best.probability)}{after}."
    least = min(rows, key=lambda row: row.classes[0].probability)
    if least.classes[0].probability > 0.999:
        return f"Confidence of the network: {_unbroken(1.0)} for every image."
    sure = sum(row.classes[0].probability >= SURE for row in rows)
    return (
        f"Confidence of the network: a probability of {SURE:g} or more for {sure} of {len(rows)}; it is least sure of "
        f"{Path(least.file).name}, “{least.predicted_name}”, {_unbroken(least.classes[0].probability)}."
    )


def _trigger_in_words(results: Explain) -> list[str]:
    """Which layer's heat lies most on the trigger that was stamped on the images."""
    shares = results.trigger_energy
    if not shares:
        return []
    name, found = max(shares.items(), key=lambda entry: entry[1].energy - entry[1].chance)
    many = " on average" if len(results.images) > 1 else ""
    return [
        f"The heat map of {name} has{many} {percent(found.energy)} of its energy in the trigger “{results.trigger}” "
        f"(chance: {percent(found.chance)})."
    ]


def _unbroken(value: float) -> str:
    """A probability in a sentence; a line does not break it."""
    return f"probability {_probability(value)}".replace(" ", "\N{NO-BREAK SPACE}")


def _overview(rows: Sequence[ExplainedImage], drawn: int) -> Section:
    chosen = any(row.explained_class != row.predicted_class for row in rows)
    headings = ["Image", "Read as", "Logit", "Probability", *["Explained", "Its logit", "Its probability"] * chosen]
    cells = []
    for row in rows:
        best = row.classes[0]
        read = [Path(row.file).name, best.name, number(best.logit), _probability(best.probability)]
        explained = [row.explained_name, number(row.logit), _probability(row.probability)]
        cells.append([*read, *explained * chosen])
    rest = f" The first {drawn} are drawn below; the pictures of all are beside this page." if drawn < len(rows) else ""
    text = f"What each is read as{', and the class that its heat maps explain' * chosen}.{rest}"
    return Section("All images", text, [Table(headings, cells, words=(0, 1, 4), sortable=True)])


def _image_in_words(numbers: ExplainedImage) -> list[str]:
    best = numbers.classes[0]
    told = [f"Read as “{best.name}”, logit {number(best.logit)}, {_unbroken(best.probability)}."]
    if numbers.explained_class != numbers.predicted_class:
        told.append(
            f"Explained is “{numbers.explained_name}”, logit {number(numbers.logit)}, {_unbroken(numbers.probability)}."
        )
    for name, found in numbers.layers.items():
        told += [f"{name}: {sentence}." for sentence in found.diagnoses]
    for method, whole in (numbers.whole or {}).items():
        told += [f"{method}: {sentence}." for sentence in whole.diagnoses]
    return told


def _classes(numbers: ExplainedImage) -> Table:
    rows = [[each.name, number(each.logit), _probability(each.probability)] for each in numbers.classes]
    return Table(["Class", "Logit", "Probability"], rows, "The classes with the greatest logits.")


def _layers(numbers: ExplainedImage) -> Table:
    stamped = any("energy" in found.model_fields_set for found in numbers.layers.values())
    headings = [
        "Layer",
        "Feature maps",
        "Cells",
        "Largest cell",
        *["Energy in the trigger", "Chance"] * stamped,
        "Contribute most",
    ]
    rows = []
    for name, found in numbers.layers.items():
        strongest = [
            f"{each.feature_map} ({number(each.contribution)})" for each in found.strongest_feature_maps[:LISTED]
        ]
        shares = [_share(found.energy), _share(found.chance)] if stamped else []
        rows.append([
            name, str(found.number_of_feature_maps), f"{found.cells[0]}x{found.cells[1]}",
            number(found.maximum), *shares, ", ".join(strongest),
        ])  # fmt: skip
    caption = (
        "Of each layer's heat map, the largest cell as the layer has it (max, below the pictures, is of the map that was "
        "smoothed over the image); and the feature maps that contribute most to the logit explained (the sum of their cells, "
        "in brackets)."
    )
    return Table(headings, rows, caption, words=(0, len(headings) - 1), sortable=True)


def _details(results: Explain) -> dict[str, str]:
    details = in_plain_words(results.settings)
    details["network"] = f"{results.network}, fingerprint {results.fingerprint}"
    details["images"] = f"{len(results.images)}{DOT}{len(results.left_out)} left out"
    return details | {"time": f"{results.seconds:.1f} s"}


def _probability(value: float) -> str:
    """A probability as tables have it: `0.250`, `> 0.999`, `3e-5`."""
    return probability(value).removeprefix("p ").removeprefix("= ")


def _share(value: float | None) -> str:
    return "–" if value is None else percent(value)
