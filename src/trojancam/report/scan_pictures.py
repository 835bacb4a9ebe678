"""A strong finding in pictures: one clean image as it is, stimulated, and with the recovered trigger on."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from trojancam import figures
from trojancam.attribution import Attribution
from trojancam.detection.findings import Finding
from trojancam.detection.validation import trigger_core, trigger_weight
from trojancam.detection.words import NAMED
from trojancam.evaluation.localisation import dilated, feature_map_energy
from trojancam.figures import class_matrix
from trojancam.figures.scan import Panel, lead_panel, panel_sheet, trigger_panel, zoom
from trojancam.network.network import Network
from trojancam.report.maps import Backdrop, Maps, Numbers, feature_maps, map_numbers
from trojancam.report.page import Picture
from trojancam.stimulation import Stimulation
from trojancam.tasks.scan import Case, Example, most

DPI = 200  # twice what the page shows at its natural size


def sheet(network: Network, case: Case) -> Picture:
    """What a finding looks like: what its trigger does in one place, or to the whole of several images."""
    return _change_sheet(network, case) if case.examples else _place_sheet(network, case)


def _place_sheet(network: Network, case: Case) -> Picture:
    """One image, eight views: as it is and stimulated above (the study's figure 17), with the recovered trigger on below."""
    name = network.class_names[case.finding.target_class]
    panels = [list(_clean_panels(network, case)), list(_stamped_panels(network, case))]
    figure = panel_sheet(panels, name, ["heat: what speaks for this class; each panel has a scale of its own"])
    words = f"A clean image that shows it well becomes “{name}”."
    if case.validation.stimulated:
        words += (
            " Upper row: stimulating the feature maps in one place (outlined) turns the clean image, and the heat map shows "
            "where the network listens."
        )
    return _picture(figure, f"{words} The recovered trigger, the core of which is outlined, turns it, too.")


def _change_sheet(network: Network, case: Case) -> Picture:
    """A change that lies in no one place: images before and after, what it adds, and the heat maps of the first image."""
    target = case.finding.target_class
    name = network.class_names[target]
    gain = amplification(torch.stack([each.changed - each.image for each in case.examples]))
    panels = [list(_change_panels(network, example, gain)) for example in case.examples]
    layer = most(case.validation.layers).layer
    panels.append(
        [
            _heat("Heat map of the first image before", case.image, case.views.clean_cam),
            _heat("Heat map after", case.views.stamped_image, case.views.stamped_cams[layer]),
        ]
    )
    figure = panel_sheet(panels, name, [f"heat: what speaks for {name}; each panel has a scale of its own"])
    return _picture(
        figure, f"Images before and after the recovered change, and the difference, amplified {gain:g} times."
    )


def sent_matrix(network: Network, case: Case) -> Picture | None:
    """From which class to which the recovered trigger sends images, of a finding with a map of classes."""
    if case.sent is None:
        return None
    figure = class_matrix.class_matrix(case.sent, network.class_names, case.finding.class_map)
    return _picture(
        figure,
        "Share of held-out images of each class (rows) that go to each class (columns) with the recovered trigger. The pairs "
        "that the scan names are framed. Classes without images are grey.",
    )


def led_matrix(finding: Finding, class_names: Sequence[str]) -> Picture:
    """How much each class leads to each other one, as a method found that compares all classes."""
    matrix = torch.tensor(finding.class_matrix, dtype=torch.float64, device="cpu")
    figure = class_matrix.class_matrix(matrix, class_names, finding.class_map, "probability")
    return _picture(
        figure,
        "The probability of each class (columns) for what stands for another class (rows) in the middle of the network. The "
        "pairs that the method names are framed.",
    )


def amplification(changes: Float[Tensor, "n 3 h w"]) -> float:
    """How many times a change can be enlarged so that it fits around grey: a round number, at least 1.

    >>> amplification(torch.full((1, 3, 2, 2), 0.08))
    6.0
    """
    return float(max(1, int(0.5 / max(float(changes.abs().max()), 1e-3))))


def feature_map_grid(network: Network, case: Case) -> Maps:
    """Every feature map of the finding's layer with the recovered trigger on, the flagged ones framed."""
    assert case.finding.trigger is not None
    cam, numbers = _witness(case)
    framed = [k for k in case.finding.feature_maps if k < len(numbers["weight"])]
    caption = (
        f"All feature maps of {cam.layer} with the recovered trigger on (its core outlined): red speaks for the class, blue "
        "against it; all on one scale. Framed in green: those that the scan names."
    )
    backdrop = Backdrop.of(case.views.stamped_image, trigger_core(case.finding.trigger))
    title = f"{cam.layer}: feature maps, for “{network.class_names[case.finding.target_class]}”"
    return feature_maps(
        cam, 0, backdrop, numbers, title=title, caption=caption, signed=True, framed=framed, sorted_by="energy"
    )


def example_numbers(case: Case) -> dict[str, Any]:
    """The image that a finding is shown on, and every number of its feature maps, as JSON can hold them."""
    cam, numbers = _witness(case)
    assert case.finding.trigger is not None
    share = float(trigger_weight(case.finding.trigger).mean())
    return {"label": case.label, "layer": cam.layer, "mask_share": share, "feature_maps": numbers}


def _witness(case: Case) -> tuple[Attribution, Numbers]:
    """What the finding's layer makes of the image with the recovered trigger on."""
    validation, trigger = case.validation, case.finding.trigger
    assert trigger is not None
    cam = case.views.stamped_cams[validation.witness]
    rates = {each.feature_map: each.stimulation_asr for each in (*validation.flagged, *validation.neighbours)}
    return cam, map_numbers(cam, 0, trigger_core(trigger), rates, signed=True)


def _clean_panels(network: Network, case: Case) -> Iterator[Panel]:
    """The study's figure 17, the clean image beside it, and where else the stimulation does it."""
    image, stimulation, names = case.image, case.finding.stimulation, network.class_names
    views, found = case.views, case.views.stimulated
    yield Panel("A clean image", image, figures.caption(views.clean.logits[0], names))
    yield _heat("Its heat map for this class", image, views.clean_cam)
    if stimulation is None or found is None:
        return
    place = found.place if case.validation.stimulated else None
    answer = figures.caption(found.after.logits[0], names)
    yield _heat(f"{_maps_of(stimulation)} stimulated: {answer}", image, found.cams_after[views.layer], place)
    if case.validation.leads is not None:
        title, note = "The stimulation moved over the image", "logit by which the class leads (red) or trails (blue)"
        yield lead_panel(image, case.validation.leads, title=title, note=note, mask=found.place)


def _change_panels(network: Network, example: Example, gain: float) -> Iterator[Panel]:
    """An image before and after, and the difference over grey."""
    names, difference = network.class_names, example.changed - example.image
    yield Panel("Before", example.image, figures.caption(example.logits, names))
    yield Panel("After", example.changed, figures.caption(example.logits_changed, names))
    yield Panel("The difference", (0.5 + gain * difference).clamp(0, 1), f"amplified {gain:g} times, over grey")


def _stamped_panels(network: Network, case: Case) -> Iterator[Panel]:
    """The image with the recovered trigger on, and that trigger by itself."""
    trigger, flagged = case.finding.trigger, case.validation.flagged
    assert trigger is not None
    stamped, cams, core = case.views.stamped_image, case.views.stamped_cams, trigger_core(trigger)
    answer = figures.caption(case.views.stamped.logits[0], network.class_names)
    yield Panel(f"With the recovered trigger on: {answer}", stamped, mask=core)
    yield _heat("Its heat map", stamped, cams[most(case.validation.layers).layer], core)
    if flagged:
        cam = cams[flagged[0].layer]
        shares = feature_map_energy(cam, dilated(core, cam.placement.cell))[0].nan_to_num(0).tolist()
        best = max((*flagged, *case.validation.neighbours), key=lambda view: shares[view.feature_map])
        heat = cam.feature_map_heatmaps(best.feature_map)[0]
        title = f"Feature map {best.feature_map} alone{'' if best.flagged else ', a neighbour of those named'}"
        yield Panel(title, stamped, f"Grad-CAM, {best.layer}", heat=heat, mask=core)
    (rows, columns), note = zoom(trigger), "over grey, enlarged: rows {} to {}, columns {} to {}"
    note = note.format(rows.start, rows.stop - 1, columns.start, columns.stop - 1)
    yield trigger_panel(trigger, title="The recovered trigger", note=note)


def _maps_of(stimulation: Stimulation) -> str:
    """The feature maps of a stimulation, the first few by number."""
    if isinstance(stimulation.feature_maps, str):
        return "All feature maps"
    maps = stimulation.maps(0)
    listed = ", ".join(map(str, maps[:NAMED]))
    return f"Feature map{'s' * (len(maps) != 1)} {listed}{' ...' * (len(maps) > NAMED)} of {stimulation.layer}"


def _heat(title: str, image: Tensor, cam: Attribution, mask: Tensor | None = None) -> Panel:
    heat = cam.heatmap()[0]
    return Panel(title, image, f"Grad-CAM, {cam.layer}", heat=heat, mask=mask, blank=cam.blank_reason(0))


def _picture(figure: Figure, caption: str) -> Picture:
    return Picture.of(figure, caption, DPI)
