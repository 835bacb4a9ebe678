"""Scripts: a view of the page as Python code that gives the same numbers with the public library."""

from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor

from trojancam.data.places import is_rendered
from trojancam.explore.models import MEASURED, Model
from trojancam.explore.session import Session
from trojancam.explore.subjects import (
    AboutLayer,
    AboutMap,
    AboutStimulation,
    AboutSubject,
    ImageChoice,
    PlacedTrigger,
    RepairRequest,
    ScanRequest,
    Subject,
)
from trojancam.stimulation import Stimulation
from trojancam.stimulation.stimulation import Window

Lines = Iterator[str]


def script(session: Session, asked: AboutSubject | ScanRequest | RepairRequest) -> str:
    """The Python code of a view.

    Raises:
        TrojanCamError: if there is no such model, image, layer or feature map.
    """
    if isinstance(asked, ScanRequest):
        lines = _scan(session, asked)
    elif isinstance(asked, RepairRequest):
        lines = _repair(session, asked)
    else:
        lines = _view(session, asked)
    return "\n".join(lines) + "\n"


def _view(session: Session, asked: AboutSubject) -> Lines:
    seen = session.seen(asked.subject)  # refuses what is not there
    yield from _imports(asked)
    yield from _network(seen.model)
    if asked.subject.image.upload is None or _needs_peaks(asked):
        yield _images(session, seen.model)
    yield from _image(session, seen.model, asked.subject.image)
    if asked.subject.trigger is not None:
        yield from _trigger(asked.subject.trigger, seen.network.input.size)
    yield ""
    yield from _QUESTIONS[type(asked)](asked)


def _imports(asked: AboutSubject) -> Lines:
    if asked.subject.trigger is not None or isinstance(asked, AboutStimulation | AboutMap):
        yield "import torch"
        yield ""
    yield "import trojancam as tc"
    if asked.subject.trigger is not None and not isinstance(asked, AboutStimulation | AboutMap):
        yield "from trojancam.evaluation import localisation"
    yield ""


def _network(model: Model) -> Lines:
    """How the network is opened: fed as it is in the explorer."""
    network, source = model.network, model.source
    if source.uploaded:
        yield "# the file that was opened in the explorer; write its whole path"
    path = source.name if source.uploaded else str(source.path.resolve())
    heads = ".with_heads()" if network.heads else ""
    if network.card is not None and network.card.input == network.input:
        yield f"network = tc.load({path!r}){heads}"
        return
    named = "" if source.architecture is None else f", architecture={source.architecture!r}"
    named += "" if source.key is None else f", key={source.key!r}"
    named += "" if source.output is None else f", output={source.output!r}"
    yield f"fed = tc.network.{network.input!r}"
    yield f"network = tc.load({path!r}{named}, preprocessing=fed, class_names={list(network.class_names)!r}){heads}"


def _place(data: Path) -> Path:
    """Where data lie, wherever the script will run; a name stays what it is."""
    return data if is_rendered(data) else data.resolve()


def _images(session: Session, model: Model) -> str:
    wanted = model.network.input
    height, width = wanted.size
    if session.data is None and height == width and wanted.crop == 1 and wanted.region == "whole":
        return f"images = tc.data.rendered_signs(train=0, size={height}).test"
    names = "class_names=network.class_names, training=False"
    where = "" if session.data is None else f"{str(_place(session.data))!r}, "
    share = "" if wanted.crop == 1 else f", share={wanted.crop!r}"
    cut = ", crop=True" if wanted.region == "roi" else ""
    return f"images = tc.data.load_dataset({where}size={wanted.size}{cut}{share}, {names}).test"


def _image(session: Session, model: Model, choice: ImageChoice) -> Lines:
    if choice.upload is None:
        index = choice.index or 0
        yield f"seen = tc.data.as_floats(images.images[{index}:{index + 1}])"
        return
    wanted = model.network.input
    share = "" if wanted.crop == 1 else f", share={wanted.crop!r}"
    yield "# the image that was opened in the explorer; write its whole path"
    yield f"seen = tc.data.as_floats(tc.data.read_image({session.name_of(choice.upload)!r}, size={wanted.size}{share})[None])"


def _trigger(placed: PlacedTrigger, size: tuple[int, int]) -> Lines:
    rows = f"{placed.row}:{placed.row + placed.height}"
    columns = f"{placed.column}:{placed.column + placed.width}"
    yield f"mask = torch.zeros{size}"
    yield f"mask[{rows}, {columns}] = 1"
    yield f"pattern = torch.tensor({list(placed.colour)}).view(3, 1, 1).expand(3, {size[0]}, {size[1]}).contiguous()"
    yield f"trigger = tc.Patch(mask, pattern, opacity={placed.opacity!r})"
    yield "seen = trigger.apply(seen)"


def _recording(subject: Subject) -> str:
    if subject.explain is None:
        return "recording = tc.record(network, seen)  # explains the class that is predicted"
    return f"recording = tc.record(network, seen, tc.logit({subject.explain}))"


def _cams(subject: Subject, recording: str = "recording") -> str:
    """What the method says of all layers of a recording."""
    if subject.method == "grad-cam":
        return f"tc.grad_cam({recording})"
    return f"tc.attribution.from_recording({recording}, {subject.method!r})[{subject.method!r}]"


def _energy(subject: Subject, function: str) -> Lines:
    """The share of heat in the trigger, where there is one."""
    if subject.trigger is not None:
        yield "near = localisation.dilated(trigger.place, cam.placement.cell)  # grown by one cell of the layer"
        yield f"energy = localisation.{function}(cam, near)[0]"


def _explain(asked: AboutSubject) -> Lines:
    yield _recording(asked.subject)
    yield "logits = recording.logits[0]"
    yield f"cams = {_cams(asked.subject)}"
    yield "print(network.class_names[int(logits.argmax())], float(logits.softmax(0).amax()))"
    yield "for name, cam in cams.items():"
    yield "    heatmap = cam.heatmap()[0]"
    yield '    print(name, "largest", float(heatmap.amax()), *cam.diagnoses(0))'
    for line in _energy(asked.subject, "layer_energy"):
        yield f"    {line}"
    if asked.subject.trigger is not None:
        yield '    print(name, "energy in the trigger", float(energy))'


def _layer(asked: AboutSubject) -> Lines:
    assert isinstance(asked, AboutLayer)
    yield _recording(asked.subject)
    yield f"cam = {_cams(asked.subject)}[{asked.layer!r}]"
    yield "contributions = cam.contributions[0]  # one map for each feature map, signed, in cells"
    yield "weights = cam.weights[0]"
    yield f"peaks = recording.layers[{asked.layer!r}].activations[0].amax((1, 2))"
    yield from _energy(asked.subject, "feature_map_energy")
    yield "print(contributions.shape, contributions.sum((1, 2)).topk(min(5, len(contributions))))"


def _map(asked: AboutSubject) -> Lines:
    assert isinstance(asked, AboutMap)
    yield _recording(asked.subject)
    yield f"cam = {_cams(asked.subject)}[{asked.layer!r}]"
    yield f"activations = recording.layers[{asked.layer!r}].activations[0, {asked.map}]"
    yield f"contributions = cam.contributions[0, {asked.map}]"
    yield f"heatmap = cam.feature_map_heatmaps({asked.map})[0]"
    yield f"weight = float(cam.weights[0, {asked.map}])"
    yield from _peaks(asked.layer)
    yield f"print(weight, float(activations.amax()), float(peaks[{asked.map}]))"


def _stimulate(asked: AboutSubject) -> Lines:
    assert isinstance(asked, AboutStimulation)
    wanted, target = asked.wanted(), asked.subject.explain
    if _needs_peaks(asked):
        yield from _peaks(wanted.layer)
    yield from _stimulation(wanted)
    explained = "" if target is None else f", tc.logit({target})"
    yield f"found = tc.stimulate(network, seen, stimulation{explained})"
    yield "before, after = found.before.logits[0], found.after.logits[0]"
    yield 'print(network.class_names[int(before.argmax())], "->", network.class_names[int(after.argmax())])'
    yield f"cams = {_cams(asked.subject, 'found.after')}"
    yield f"same = {_cams(asked.subject, 'found.before')}"
    yield "for name in cams:"
    yield "    print(name, float((cams[name].heatmap() - same[name].heatmap()).abs().amax()))"


def _peaks(layer: str) -> Lines:
    yield "# the largest activation of each feature map over test images, in which strengths are counted"
    yield f"tests = tc.data.as_floats(images.images[:{MEASURED}]).split(32)"
    yield (f"peaks = torch.stack([network.cut({layer!r}).before(batch)[0].amax((0, 2, 3)) for batch in tests]).amax(0)")


def _stimulation(wanted: Stimulation) -> Lines:
    """The stimulation with its value in the network's own numbers, whatever it counts in."""
    maps = "all" if wanted.feature_maps == "all" else wanted.feature_maps
    if isinstance(wanted.value, Tensor):
        yield from _values(wanted.value, wanted.window)
    value = _in_own_numbers(wanted)
    if wanted.mask is not None:
        rows, columns = wanted.mask.nonzero().T.tolist()
        yield f"painted = torch.zeros({tuple(wanted.mask.shape)}, dtype=torch.bool)"
        yield f"painted[{rows}, {columns}] = True"
    place = "" if wanted.window is None else f", window={wanted.window}"
    place += "" if wanted.mask is None else ", mask=painted"
    place += "" if wanted.rest == "keep" else f", rest={wanted.rest!r}"
    yield f"stimulation = tc.Stimulation({wanted.layer!r}, {maps!r}, {wanted.kind!r}, {value}{place})"


def _in_own_numbers(wanted: Stimulation) -> str:
    """The value in the network's own numbers: as many as it has itself, in units of each map one for each."""
    given, listed = isinstance(wanted.value, Tensor), isinstance(wanted.value, tuple)
    value = "values" if given else repr(wanted.value)
    if wanted.unit == "absolute":
        return value
    if wanted.unit == "layer":
        return f"tuple(each * float(peaks.amax()) for each in {value})" if listed else f"{value} * float(peaks.amax())"
    maps = [wanted.feature_maps] if isinstance(wanted.feature_maps, int) else wanted.feature_maps
    chosen = "peaks" if isinstance(maps, str) else f"peaks[{list(maps)}]"
    if given:
        return f"values * {chosen}[:, None, None]"
    return f"tuple(({f'torch.tensor({value}, dtype=torch.float64)' if listed else value} * {chosen}).tolist())"


def _values(values: Tensor, window: Window | None) -> Lines:
    """Given activations; in a window those inside are all that counts."""
    if window is None:
        yield f"values = torch.tensor({values.tolist()})"
        return
    row, column, height, width = window
    inside = values[:, row : row + height, column : column + width]
    yield f"values = torch.zeros({tuple(values.shape)})"
    yield f"values[:, {row}:{row + height}, {column}:{column + width}] = torch.tensor({inside.tolist()})"


def _needs_peaks(asked: AboutSubject) -> bool:
    if isinstance(asked, AboutStimulation):
        return asked.wanted().unit != "absolute"
    return isinstance(asked, AboutMap)


def _scan(session: Session, asked: ScanRequest) -> Lines:
    model = session.model(asked.model)
    yield "import trojancam as tc"
    yield ""
    yield from _network(model)
    yield _images(session, model)
    yield f"seen, labels = images.take({asked.images}, seed={asked.seed}, spread=True)"
    yield f"report = tc.scan(network, seen, labels, {list(asked.methods)!r}, seed={asked.seed})"
    yield "print(report.verdict, report.score)"
    yield "for finding in report.findings:"
    yield "    print(network.class_names[finding.target_class], finding.layer, finding.feature_maps, finding.score)"


def _repair(session: Session, asked: RepairRequest) -> Lines:
    model = session.model(asked.model)
    yield "import trojancam as tc"
    yield "from trojancam.tasks.repair import parted"
    yield ""
    yield from _network(model)
    yield _images(session, model)
    yield f"ours, further = parted(images, {asked.images}, seed={asked.seed})  # to learn from, and to measure with"
    yield "test = None if further is None else further.take(len(further))"
    options = f"budget={asked.budget / 100!r}, force={asked.force}, seed={asked.seed}"
    yield f"result = tc.repair(network.without_card(), *ours.take(len(ours)), None, {asked.method!r}, test=test, {options})"
    yield "print(result)"


_QUESTIONS: dict[type[AboutSubject], Callable[[AboutSubject], Lines]] = {
    AboutSubject: _explain,
    AboutLayer: _layer,
    AboutMap: _map,
    AboutStimulation: _stimulate,
}
