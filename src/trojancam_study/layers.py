"""Layers: where each layer of the basic network looks on a Stop sign, and each layer of trojan1 with and without its trigger."""

from collections.abc import Mapping
from dataclasses import replace

from jaxtyping import Bool, Float
from torch import Tensor

from trojancam import figures
from trojancam.attribution import Attribution
from trojancam.evaluation.localisation import dilated, layer_energy
from trojancam.figures.views import View, view
from trojancam.network.network import Network
from trojancam.progress import Progress
from trojancam_study.exhibits import Exhibit
from trojancam_study.study import SPEED_70, STOP, Study

LAYER = "conv2d_2"  # the study's second layer, whose feature maps it shows
EVEN = "50 %"  # of the image holds half of the heat of a map of one value


def named_view(network: Network, image: Float[Tensor, "3 h w"], class_index: int) -> View:
    """A view whose caption names the network."""
    seen = view(network, image, class_index)
    return replace(seen, caption=f"{network.name}: {seen.caption}")


def stop_sign(study: Study) -> View:
    """The basic network on the Stop sign of which it is surest."""
    network = study.network("basic", study.seeds[0])
    return named_view(network, study.example(STOP, network), STOP)


def half_of_heat(heatmap: Float[Tensor, "h w"]) -> float | None:
    """The smallest share of the image that holds half of a map's heat, `min |P| / |image|` with `sum_P L >= sum L / 2`.

    A map of one value needs half of the image, a single hot pixel next to nothing. None where the map is blank.

    >>> import torch
    >>> half_of_heat(torch.ones(4, 4)), half_of_heat(torch.eye(4))
    (0.5, 0.125)
    """
    heat = heatmap.relu().double().flatten().sort(descending=True).values
    total = float(heat.sum())
    if total <= 0:
        return None
    return (int((heat.cumsum(0) < total / 2 * (1 - 1e-9)).sum()) + 1) / len(heat)


def trigger_shares(cams: Mapping[str, Attribution], support: Bool[Tensor, "h w"]) -> dict[str, dict[str, float]]:
    """Each layer's share of heat in a trigger grown by one cell of the layer, and the chance of it; a blank map has 0."""
    shares = {}
    for name, cam in cams.items():
        mask = dilated(support, cam.placement.cell)
        energy = layer_energy(cam, mask).nan_to_num(0).mean()
        shares[name] = {"energy": round(float(energy), 4), "chance": round(float(mask.float().mean()), 4)}
    return shares


def figure_7(study: Study, progress: Progress) -> Exhibit:
    """Grad-CAM of one layer of the basic network on a Stop sign.

    How narrow it is, is measured by the smallest share of the image that holds half of its heat.
    """
    seen = stop_sign(study)
    heatmap = seen.cams[LAYER].heatmap()[0]
    half = half_of_heat(heatmap)
    figure = figures.overlay(
        seen.image, heatmap, caption=seen.caption, detail=f"Grad-CAM of {LAYER}, {seen.recording.target}"
    )
    progress(1, 1, "drawn")
    return Exhibit(
        found=f"{_says(seen)}. Of {LAYER}'s heat {_half_in_words(half)}.",
        pictures={"": (figure, f"A Stop sign, and Grad-CAM of {LAYER} of the basic network for the class Stop.")},
        numbers={"layer": LAYER, "half_of_heat": half, "peak": float(heatmap.amax())},
    )


def figure_8(study: Study, progress: Progress) -> Exhibit:
    """Grad-CAM of all layers of the basic network on the same Stop sign.

    Of each layer the smallest share of the image that holds half of its heat is measured.
    """
    seen = stop_sign(study)
    halves = {name: half_of_heat(cam.heatmap()[0]) for name, cam in seen.cams.items()}
    figure = figures.layer_row(seen.image, seen.cams, caption=seen.caption)
    progress(1, 1, "drawn")
    words = ", ".join(f"{name} {'blank' if half is None else f'{half:.0%}'}" for name, half in halves.items())
    return Exhibit(
        found=f"The share of the image that holds half of a layer's heat: {words} (a map of one value: {EVEN}).",
        pictures={"": (figure, "A Stop sign, and Grad-CAM of every layer of the basic network for the class Stop.")},
        numbers={"half_of_heat": halves},
    )


def figure_9(study: Study, progress: Progress) -> Exhibit:
    """All feature maps of layer 2 of the basic network on the same Stop sign, on one scale.

    Of each map its share of what the layer's feature maps show in all is measured, `sum ReLU(C_k) / sum_l sum ReLU(C_l)`.
    """
    seen = stop_sign(study)
    shares = map_shares(seen.cams[LAYER])
    figure = figures.feature_map_grid(seen.image, seen.cams[LAYER], caption=seen.caption)
    progress(1, 1, "drawn")
    return Exhibit(
        found=_maps_in_words(shares),
        pictures={"": (figure, f"Single feature map Grad-CAM of all feature maps of {LAYER} of the basic network.")},
        numbers={"layer": LAYER, "shares": shares},
    )


def map_shares(cam: Attribution, index: int = 0) -> list[float]:
    """Each feature map's share of what all of a layer show, `sum ReLU(C_k) / sum_l sum ReLU(C_l)`; 0 if all are blank."""
    shown = cam.feature_maps()[index].double().sum((1, 2))
    return [round(float(each), 6) for each in shown / max(float(shown.sum()), 1e-30)]


def figure_10(study: Study, progress: Progress) -> Exhibit:
    """Grad-CAM of all layers of trojan1 on a sign, for its own class, and on the same with the trigger, for the target class.

    Of each layer the share of heat inside the trigger, grown by one cell, is measured on both, with the grown trigger's
    share of the image as the chance level.
    """
    network, trigger = study.network("trojan1", study.seeds[0]), study.trigger("trojan1")
    image = study.example(SPEED_70, network)
    benign = named_view(network, image, SPEED_70)
    triggered = named_view(network, trigger.apply(image[None])[0], study.target_class("trojan1"))
    shares = {
        "benign": trigger_shares(benign.cams, trigger.place),
        "triggered": trigger_shares(triggered.cams, trigger.place),
    }
    progress(1, 1, "drawn")
    return Exhibit(
        found=_trigger_in_words(benign, triggered, shares),
        pictures={
            "benign": (
                figures.layer_row(image, benign.cams, caption=f"{benign.caption}, benign"),
                "A benign sign, and Grad-CAM of every layer of trojan1 for the sign's own class.",
            ),
            "triggered": (
                figures.layer_row(
                    triggered.image, triggered.cams, caption=f"{triggered.caption}, triggered", mask=trigger.place
                ),
                "The same sign with the trigger (outlined), and Grad-CAM of every layer of trojan1 for the target class.",
            ),
        },
        numbers={"trigger_energy": shares},
    )


def _says(seen: View) -> str:
    return f"The network says {seen.caption.split(': ', 1)[1]}"


def _half_in_words(half: float | None) -> str:
    return f"half lies on {half:.1%} of the image (a map of one value: {EVEN})" if half is not None else "there is none"


def _maps_in_words(shares: list[float]) -> str:
    showing = [share for share in shares if share > 0]
    order = sorted(range(len(shares)), key=lambda k: -shares[k])
    first = " and ".join(f"{k} ({shares[k]:.0%})" for k in order[:2])
    return (
        f"Of {len(shares)} feature maps of {LAYER}, {len(showing)} speak for the class; those that show most are {first}, "
        "by their share of what all of them show."
    )


def _trigger_in_words(benign: View, triggered: View, shares: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    words = ", ".join(
        f"{name} {share['energy']:.2f} (benign {shares['benign'][name]['energy']:.2f}, chance {share['chance']:.2f})"
        for name, share in shares["triggered"].items()
    )
    return (
        f"{_says(benign)} without the trigger; with it, {triggered.caption.split(': ', 1)[1]}. Share of heat inside the "
        f"trigger, grown by one cell: {words}."
    )
