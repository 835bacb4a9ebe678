"""Calibrating: clean networks are scanned, and their scores kept, so that those of a suspect can be held against them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float, Int64
from torch import Tensor

from trojancam.detection.accuracy import clean_accuracy
from trojancam.detection.effort import EFFORTS, LARGEST
from trojancam.detection.references import Reference, ReferenceNetwork, settings_fingerprint
from trojancam.detection.scanning import known_methods, known_settings, scan
from trojancam.detection.settings import Settings
from trojancam.detection.suspect import suspect
from trojancam.errors import DataError, UnknownNameError
from trojancam.network.network import Network
from trojancam.progress import Progress, silent
from trojancam.showing import Brief


@dataclass(frozen=True)
class VouchedNetwork(Brief):
    """A network that its owner vouches for, and labelled images of the data set that it is judged on."""

    name: str
    network: Network
    images: Float[Tensor, "n 3 h w"]
    labels: Int64[Tensor, " n"]
    data: str


def calibrated(
    clean: Iterable[VouchedNetwork],
    methods: str | Sequence[str] | None = None,
    *,
    begun: Reference | None = None,
    settings: Mapping[str, Mapping[str, object]] | None = None,
    seed: int = 0,
    journal: Path | None = None,
    kept: Callable[[Reference], None] = lambda _: None,
    progress: Progress = silent,
) -> tuple[Reference, list[str]]:
    """The scores of clean networks, and a sentence for each network that was left out.

    A network that is not accurate enough to be judged is left out: none such will be held against it. `begun` are
    reference networks that are there already: those with scores by all methods are not scanned again. `kept` is told of the
    reference after every network, `journal` keeps the steps of the one that is being scanned.

    Raises:
        UnknownNameError: if there is no such method or setting.
        DataError: if `begun` was made with other settings, or some networks are searched thoroughly and some coarsely.
        TrojanCamError: as `trojancam.scan` does.
    """
    names = known_methods(methods)
    found, left_out = begun or Reference(), []
    _check(found, names, settings or {})
    for one in clean:
        found = _begun(found, known_settings(names, settings or {}, one.network.input.size))
        seen = suspect(one.network, one.images, one.labels)
        accuracy = clean_accuracy(seen)
        if accuracy.problem():
            left_out.append(f"{one.name} is left out. {accuracy.problem()}")
            continue
        old = {each.fingerprint: each for each in found.networks}
        known = old.get(seen.network.fingerprint)
        lacking = [name for name in names if known is None or name not in known.scores]
        if not lacking:
            continue
        report = scan(
            one.network,
            one.images,
            one.labels,
            lacking,
            reference=Reference(),
            settings={name: each for name, each in (settings or {}).items() if name in lacking},
            seed=seed,
            journal=journal,
            progress=progress,
        )
        scores = {name: round(opinion.score, 4) for name, opinion in report.opinions.items()}
        entry = ReferenceNetwork(
            name=one.name,
            fingerprint=seen.network.fingerprint,
            architecture=one.network.name,
            data=one.data,
            classes=seen.classes,
            accuracy=round(accuracy.value, 4),
            images=len(seen.images),
            scores=(known.scores if known else {}) | scores,
        )
        found = found.model_copy(update={"networks": tuple((old | {entry.fingerprint: entry}).values())})
        kept(found)
    return found, left_out


def _begun(reference: Reference, settings: Mapping[str, Settings | None]) -> Reference:
    """The reference with the settings of these methods.

    Raises:
        DataError: if it has scores of one of them under other settings.
    """
    ours = {name: settings_fingerprint(each) for name, each in settings.items()}
    for name, fingerprint in ours.items():
        if reference.settings.get(name, fingerprint) != fingerprint:
            raise DataError(
                f"the reference networks were scanned with other settings of {name}; write to another file with --out, and "
                f"calibrate networks of more than {LARGEST} pixels, which are searched coarsely, apart from smaller ones"
            )
    return reference.model_copy(update={"settings": reference.settings | ours})


def _check(reference: Reference, names: Sequence[str], settings: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse what cannot be gone on with, whatever the size of the images, before anything is scanned.

    Raises:
        UnknownNameError, DataError: as `calibrated` does.
    """
    known_settings(names, settings)
    for name in names:
        problems = []
        for effort in EFFORTS:
            told = {name: {"effort": effort} | dict(settings.get(name, {}))}
            try:
                _begun(reference, known_settings([name], told))
            except (DataError, UnknownNameError) as problem:
                problems.append(problem)
        if len(problems) == len(EFFORTS):
            raise problems[0]
