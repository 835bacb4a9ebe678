"""Reporting a comparison of attribution methods: who wins under which metric, with intervals, curves and reliability."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trojancam import figures
from trojancam.attribution import INPUT
from trojancam.evaluation.comparison import FAITHFULNESS, LOCALISATION, METRICS
from trojancam.evaluation.randomisation import Randomisation
from trojancam.evaluation.reliability import Reliability
from trojancam.evaluation.statistics import Interval
from trojancam.evaluation.verdict import Verdict
from trojancam.report.documents.compare import Compare
from trojancam.report.page import Page, Picture, Section, Table, in_plain_words, write_page
from trojancam.tasks.compare import CONTROLS, Compared, Summary, method_title


def write_comparison(compared: Compared, out: Path, settings: dict[str, Any]) -> Path:
    """Write the page and `results.json`, with what model randomisation found if it was run; the path of the page.

    `settings` are what else the page is to say of how it was made.

    Raises:
        TrojanCamError: if the folder cannot be written to.
    """
    summary, randomised, seconds = compared.summary, compared.randomised, compared.seconds
    layers = [_layers_section(summary)] if summary.comparison.layers else []
    sections = [_overall_section(summary), *layers, _curves_section(summary)]
    if summary.reliability:
        sections.append(_reliability_section(summary.reliability))
    if randomised:
        sections.append(_randomisation_section(randomised))
    details = in_plain_words(settings) | {"time": f"{seconds:.1f} s"}
    sure = (
        f"Confidence: tests are paired over {summary.comparison.images} images; every mean has its 95 % interval below."
    )
    return write_page(
        Page(f"Attribution methods on {compared.network.name}", _headline(summary), sections, details, weighed=sure),
        _document(compared, settings),
        out,
    )


def overall_tables(summary: Summary) -> list[Table]:
    """Method x metric, means over the layers with their intervals: faithfulness and, with a mask, localisation."""
    groups = {"Faithfulness": FAITHFULNESS, "Localisation": LOCALISATION}
    return [_overall_table(summary, title, names) for title, names in groups.items() if names[0] in summary.overall]


def _overall_table(summary: Summary, title: str, metrics: Sequence[str]) -> Table:
    headings = [f"{METRICS[m].title}{'' if METRICS[m].higher_is_better else ' (low is good)'}" for m in metrics]
    rows = [
        [method_title(method), *(_cell(summary.overall[m].get(method)) for m in metrics)] for method in _order(summary)
    ]
    return Table(["Method", *headings], [row for row in rows if any(row[1:])], title, sortable=True)


def _headline(summary: Summary) -> str:
    verdict = summary.verdicts["road"]
    if verdict is None:
        return "There are not two methods to compare: name at least two beside the controls."
    means = {method: interval.mean for method, interval in summary.overall["road"].items()}
    best = max(mean for method, mean in means.items() if method not in CONTROLS and not math.isnan(mean))
    beaten = [
        f"the {method_title(control)}" for control in ("centre", "random") if means.get(control, -math.inf) > best
    ]
    warning = f" Mind that {' and '.join(beaten)} scores higher still without looking at the network." if beaten else ""
    return f"By ROAD, over all layers, {verdict}.{warning}"


def _overall_section(summary: Summary) -> Section:
    text = (
        f"Means over the layers and {summary.comparison.images} images, with 95 % bootstrap intervals over the images. "
        "The random, centre and mask maps are controls: they do not look at the network and take no part in the verdicts. A "
        "method wins if it is significantly better than every other (paired sign-flip test at 0.95, Holm). Maps of layers "
        "are sought in the mask grown by one cell, maps of the pixels in the mask itself: under localisation these take no "
        "part in the verdicts either."
    )
    verdicts = Table(
        ["Metric", "Wins"], [[METRICS[m].title, _winner_of(v)] for m, v in summary.verdicts.items()], words=(0, 1)
    )
    return Section("Methods against metrics", text, [*overall_tables(summary), verdicts, _paired_table(summary)])


def _paired_table(summary: Summary) -> Table:
    """How far each method is behind the best one under each metric, image by image."""
    verdicts = {metric: verdict for metric, verdict in summary.verdicts.items() if verdict}
    cells: dict[str, dict[str, str]] = {}
    for metric, verdict in verdicts.items():
        cells.setdefault(verdict.best, {})[metric] = "best"
        for rival in verdict.rivals:
            cells.setdefault(rival.method, {})[metric] = f"{rival.behind}, p = {rival.p_value:.2g}"
    rows = [[name, *(found.get(metric, "") for metric in verdicts)] for name, found in cells.items()]
    caption = "How far behind the best: mean paired difference, its 95 % bootstrap interval, and Holm's p-value"
    return Table(["Method", *(METRICS[metric].title for metric in verdicts)], rows, caption, sortable=True)


def _layers_section(summary: Summary) -> Section:
    layers = list(summary.comparison.layers)
    parts: list[Picture | Table] = []
    for metric, found in summary.by_layer.items():
        rows = [
            [method_title(method), *(_cell(found[layer].get(method)) for layer in layers)] for method in _order(summary)
        ]
        wins = ["Wins", *(getattr(summary.layer_verdicts[metric][layer], "winner", None) or "none" for layer in layers)]
        chance = ["chance", *(_number(summary.comparison.chance.get((metric, layer), math.nan)) for layer in layers)]
        shown = [row for row in (*rows, chance, wins) if any(row[1:])]
        parts.append(Table(["Method", *layers], shown, METRICS[metric].title))
    return Section("Layer by layer", "Methods that look at pixels have the same figure at every layer.", parts)


def _curves_section(summary: Summary) -> Section:
    curves = summary.comparison.curves
    panels = {
        layer: {method_title(method): curve for (method, at), curve in curves.items() if at in (layer, INPUT)}
        for layer in summary.comparison.layers or (INPUT,)
    }
    figure = figures.removal_curves(panels, summary.comparison.percentiles, "ROAD: what is left as pixels are removed")
    caption = (
        "Mean probability of the explained class with the most (full) and the least relevant pixels (dashed) removed."
    )
    return Section("Curves", "", [Picture.of(figure, caption, 200)])


def _reliability_section(found: Reliability) -> Section:
    rows = [
        [METRICS[metric].title, found.between_images[metric].in_short, _number(found.between_methods[metric].mean)]
        for metric in found.between_images
    ]
    text = (
        "How far each metric can be trusted (Tomsett et al., arXiv 1912.01451): whether images agree on the order of the methods "
        "(Krippendorff's alpha), and how the scores of two methods, and those under two metrics, go together over the images "
        "(mean Spearman correlation)."
    )
    by_method = [[method_title(method), _number(between.mean)] for method, between in found.between_metrics.items()]
    return Section(
        "The metrics themselves",
        text,
        [
            Table(["Metric", "Agreement of images", "Between methods"], rows, words=(0, 1)),
            Table(["Method", "Between metrics"], by_method),
        ],
    )


def _randomisation_section(randomised: dict[str, Randomisation]) -> Section:
    modules = [step.module for step in next(iter(randomised.values())).steps]
    rows = [
        [method_title(name), *(_number(interval.mean) for interval in found.intervals())]
        for name, found in randomised.items()
    ]
    text = (
        "Model randomisation (Adebayo et al., arXiv 1810.03292): weights are shuffled module by module, last to first, and the "
        "maps compared with the original ones: mean Spearman correlation of their magnitudes. A map that stays as it was does "
        "not look at the network. "
    )
    sentences = [f"{method_title(name)} {found}." for name, found in randomised.items()]
    text += " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)
    caption = "Spearman correlation with the original maps"
    return Section("Do the maps depend on the weights?", text, [Table(["Random down to", *modules], rows, caption)])


def _randomisation_json(found: Randomisation) -> dict[str, Any]:
    steps = [
        {"module": step.module, "correlation": _interval_json(interval)}
        for step, interval in zip(found.steps, found.intervals(), strict=True)
    ]
    return {"steps": steps, "sentence": str(found)}


def _document(compared: Compared, settings: dict[str, Any]) -> Compare:
    summary, comparison = compared.summary, compared.summary.comparison
    shuffled = {name: _randomisation_json(found) for name, found in (compared.randomised or {}).items()}
    return Compare.of(
        command="compare",
        settings=settings,
        images=comparison.images,
        over_layers={m: {k: _interval_json(v) for k, v in found.items()} for m, found in summary.overall.items()},
        by_layer={
            metric: {layer: {k: _interval_json(v) for k, v in found.items()} for layer, found in layers.items()}
            for metric, layers in summary.by_layer.items()
        },
        verdicts={metric: _verdict_json(verdict) for metric, verdict in summary.verdicts.items()},
        verdicts_by_layer={
            metric: {layer: _verdict_json(verdict) for layer, verdict in layers.items()}
            for metric, layers in summary.layer_verdicts.items()
        },
        reliability=_reliability_json(summary.reliability),
        chance={f"{metric}/{layer}": level for (metric, layer), level in comparison.chance.items()},
        percentiles=list(comparison.percentiles),
        curves={f"{k}/{layer}": curve.tolist() for (k, layer), curve in comparison.curves.items()},
        seconds=round(compared.seconds, 2),
        **({"randomisation": shuffled} if shuffled else {}),
    )


def _order(summary: Summary) -> list[str]:
    """Methods by ROAD, the controls after them."""
    found = summary.overall[FAITHFULNESS[0]]
    return sorted(found, key=lambda method: (method in CONTROLS, -found[method].mean))


def _winner_of(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    return verdict.winner or f"none: {', '.join(verdict.tied)} cannot be told apart"


def _cell(interval: Interval | None) -> str:
    return "" if interval is None or math.isnan(interval.mean) else str(interval)


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _interval_json(interval: Interval) -> dict[str, Any]:
    return {"mean": interval.mean, "low": interval.low, "high": interval.high, "images": interval.images}


def _verdict_json(verdict: Verdict | None) -> dict[str, Any] | None:
    if verdict is None:
        return None
    behind = {rival.method: _interval_json(rival.behind) | {"p_value": rival.p_value} for rival in verdict.rivals}
    return {
        "winner": verdict.winner,
        "best": verdict.best,
        "tied": list(verdict.tied),
        "behind_the_best": behind,
        "sentence": str(verdict),
    }


def _reliability_json(found: Reliability | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "between_images": {metric: rater.alpha for metric, rater in found.between_images.items()},
        "between_methods": {metric: each.mean for metric, each in found.between_methods.items()},
        "between_metrics": {method: each.mean for method, each in found.between_metrics.items()},
    }
