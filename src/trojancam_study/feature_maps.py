"""Feature maps of a trojaned network under its trigger: those that locate it, and those that do where their layer does not."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from trojancam import figures
from trojancam.attribution import energy_in_mask, grad_cam
from trojancam.evaluation.localisation import dilated
from trojancam.evaluation.trigger_energy import LayerEnergy, trigger_energy
from trojancam.figures.scan import Panel, panel_sheet
from trojancam.network.recording import record
from trojancam.network.targets import logit
from trojancam.progress import Progress
from trojancam_study.exhibits import Exhibit
from trojancam_study.shares import LOCATES
from trojancam_study.study import SPEED_70, Study

NAME, LAYER = "trojan1", "conv2d_2"  # the study's layer 2 of trojan1
TROJANED = (NAME, "trojan2")
SHOWN = 2  # feature maps beside the layer's own map


@dataclass(frozen=True)
class Miss:
    """A layer of a network of the study whose own map shows the trigger worse than its feature maps do."""

    name: str
    energy: LayerEnergy

    @property
    def gap(self) -> float:
        """By how much the best feature map's share of energy in the trigger exceeds the layer map's."""
        return self.energy.feature_maps[self.energy.best] - self.energy.layer_map

    def best(self, count: int) -> list[int]:
        """The feature maps with the greatest shares, the best first."""
        return sorted(range(len(self.energy.feature_maps)), key=lambda k: -self.energy.feature_maps[k])[:count]


def figure_11(study: Study, progress: Progress) -> Exhibit:
    """All feature maps of layer 2 of trojan1 on a triggered sign, framed where they locate the trigger.

    A map locates it if the share of its energy inside the trigger, grown by one cell of the layer, is at least 0.4 on
    average over the test images; a blank map counts as 0.
    """
    network, trigger, target = (
        study.network(NAME, study.seeds[0]),
        study.trigger(NAME),
        study.target_class(NAME),
    )
    energy = _energies(study, NAME)[LAYER]
    progress(1, 2, "measured")
    locating = [k for k, share in enumerate(energy.feature_maps) if share >= LOCATES]
    image = trigger.apply(study.example(SPEED_70, network)[None])
    recording = record(network, image, logit(target), [LAYER])
    figure = figures.feature_map_grid(
        image[0],
        grad_cam(recording)[LAYER],
        scale="each",  # on one scale the weaker maps, whose place is what matters here, are too pale to be seen
        highlight=locating,
        caption=f"trojan1, triggered: {figures.caption(recording.logits[0], network.class_names, target)}",
    )
    return Exhibit(
        found=f"{len(locating)} of the {len(energy.feature_maps)} feature maps of {LAYER} locate the trigger: on average "
        f"over {study.images(NAME)} test images they hold at least {LOCATES} of their energy in it, feature map "
        f"{energy.best} most of all ({energy.feature_maps[energy.best]:.3f}; chance {energy.chance:.3f}). The layer's own "
        f"map holds {energy.layer_map:.3f}.",
        pictures={"": (figure, _grid_caption(study, locating))},
        numbers={
            "locating": locating,
            "shares": [round(share, 4) for share in energy.feature_maps],
            "layer_map": round(energy.layer_map, 4),
            "chance": round(energy.chance, 4),
        },
    )


def figure_12(study: Study, progress: Progress) -> Exhibit:
    """A layer whose own map misses the trigger, beside the feature maps of that layer that show it.

    Of all layers of trojan1 and trojan2 whose own map holds less than chance in the grown trigger (of all layers, if none
    does) it is the one with the widest gap between the mean share of its best feature map's energy there and its own map's.
    """
    misses = []
    for done, name in enumerate(TROJANED, start=1):
        misses += [Miss(name, energy) for energy in _energies(study, name).values()]
        progress(done, len(TROJANED), name)
    missing = [miss for miss in misses if miss.energy.layer_map < miss.energy.chance]
    widest = max(missing or misses, key=lambda miss: miss.gap)
    energy, best = widest.energy, widest.best(SHOWN)
    holds = " and ".join(f"map {k} holds {energy.feature_maps[k]:.3f}" for k in best)
    return Exhibit(
        found=f"The map of {energy.layer} of {widest.name} holds {energy.layer_map:.3f} of its energy in the trigger on "
        f"average over {study.images(widest.name)} test images (chance {energy.chance:.3f}), and is blank on {energy.blank:.0%} "
        f"of them, while of the layer's {len(energy.feature_maps)} feature maps {holds}.",
        pictures={"": (_side_by_side(study, widest, best), _miss_caption(widest, best))},
        numbers={
            "network": widest.name,
            "layer": energy.layer,
            "layer_map": round(energy.layer_map, 4),
            "chance": round(energy.chance, 4),
            "feature_maps": {str(k): round(energy.feature_maps[k], 4) for k in best},
            "gaps": {f"{miss.name} {miss.energy.layer}": round(miss.gap, 4) for miss in misses},
        },
    )


def _energies(study: Study, name: str) -> dict[str, LayerEnergy]:
    images, _ = study.test_images(name)
    return trigger_energy(study.network(name, study.seeds[0]), images, study.trigger(name), study.target_class(name))


def _grid_caption(study: Study, locating: Sequence[int]) -> str:
    framed = (
        f"Framed in green: feature maps {', '.join(map(str, locating))}, which" if locating else "None is framed: none"
    )
    return (
        f"All feature maps of {LAYER} of trojan1 on a triggered sign, each on its own scale. {framed} "
        f"hold at least {LOCATES} of their energy in the trigger, grown by one cell, on average over "
        f"{study.images(NAME)} triggered test images."
    )


def _miss_caption(miss: Miss, best: Sequence[int]) -> str:
    return (
        f"{miss.name}, a triggered sign, the trigger outlined: Grad-CAM of {miss.energy.layer}, and of its feature maps "
        f"{' and '.join(map(str, best))} alone, each on its own scale."
    )


def _side_by_side(study: Study, miss: Miss, best: Sequence[int]) -> Figure:
    """The triggered sign, the layer's map, and the best feature maps by themselves."""
    network, trigger, layer = study.network(miss.name, study.seeds[0]), study.trigger(miss.name), miss.energy.layer
    target = study.target_class(miss.name)
    image = trigger.apply(study.example(SPEED_70, network)[None])
    recording = record(network, image, logit(target), [layer])
    cam, near = grad_cam(recording)[layer], dilated(trigger.place, network.layer(layer).placement.cell)
    maps = {f"{layer}, the layer's own map": cam.heatmap()[0]}
    maps |= {f"{layer}, feature map {k} alone": cam.feature_map_heatmaps(k)[0] for k in best}
    panels = [Panel("triggered sign", image[0], " ", mask=trigger.place)]
    for title, heat in maps.items():
        share = energy_in_mask(heat, near).nan_to_num(0)
        panels.append(Panel(title, image[0], f"{float(share):.0%} of its energy near the trigger", heat, trigger.place))
    heading = f"{miss.name}, triggered: {figures.caption(recording.logits[0], network.class_names, target)}"
    details = f"Grad-CAM, {recording.target}; each map on its own scale; near: within one cell of the layer"
    return panel_sheet([panels], heading, [details])
