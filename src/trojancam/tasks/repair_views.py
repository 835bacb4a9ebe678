"""The same stamped images before and after a repair, with their heat maps: a witness of what the network listens to."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from trojancam.attribution import Attribution, grad_cam
from trojancam.detection.suspect import Suspect
from trojancam.network.network import Network
from trojancam.network.recording import Recording, record
from trojancam.network.targets import logit
from trojancam.removal.goal import Culprit
from trojancam.showing import Brief
from trojancam.tasks.results import on_processor

VIEWS = 3  # images


@dataclass(frozen=True)
class RepairView(Brief):
    """One image with the recovered trigger on: its class, where it is sent, and the heat map for that class, twice."""

    label: int
    target: int
    layer: str
    clean: Float[Tensor, "3 h w"]
    stamped: Float[Tensor, "3 h w"]
    before: Recording
    before_cam: Attribution
    after: Recording
    after_cam: Attribution


def repair_views(before: Network, after: Network, culprit: Culprit, clean: Suspect) -> tuple[RepairView, ...]:
    """Some images that the recovered trigger turned before; those come first that are recognised afterwards."""
    victims = culprit.goal.victims(clean.labels).nonzero()[:, 0]
    images, labels = clean.images[victims], clean.labels[victims].cpu()
    wanted = culprit.goal.wanted(labels)
    stamped = culprit.trigger.apply(images)
    turned = before(stamped).argmax(1).cpu() == wanted
    known = after(stamped).argmax(1).cpu() == labels
    order = (2 * turned.long() + known.long()).argsort(descending=True, stable=True)[:VIEWS].tolist()
    layer = list(before.layers)[-1]
    found = []
    for place in order:
        target = int(wanted[place])
        one = stamped[place : place + 1]
        old, new = (on_processor(record(network, one, logit(target), [layer])) for network in (before, after))
        images_of = images[place].cpu(), one[0].cpu()
        label = int(labels[place])
        found.append(RepairView(label, target, layer, *images_of, old, grad_cam(old)[layer], new, grad_cam(new)[layer]))
    return tuple(found)
