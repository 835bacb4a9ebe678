"""Running a fleet: from a manifest to a table with a row for every model, whatever becomes of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from trojancam.data.places import absolute
from trojancam.errors import DataError, TrojanCamError, unknown_name
from trojancam.files import writable_folder
from trojancam.fleets.dask_cluster import check_scheduler, library
from trojancam.fleets.dask_pool import DaskPool
from trojancam.fleets.fleet_page import write_fleet_page
from trojancam.fleets.limits import Limits, bytes_of, seconds_of
from trojancam.fleets.local_pool import LocalPool
from trojancam.fleets.manifest import Entry, part, read_manifest, shard_name
from trojancam.fleets.result import DOUBT, Result, exit_code
from trojancam.fleets.store import Store
from trojancam.fleets.table import Row, Table, export_csv, export_lines, export_parquet, parquet_writer
from trojancam.fleets.unit import Settings, Task, Unit, Units
from trojancam.fleets.work import TASKS, check_settings
from trojancam.locks import only_run_on
from trojancam.network import given
from trojancam.progress import Progress, shown
from trojancam.showing import Brief
from trojancam.text import as_text
from trojancam.version import __version__

OUT = Path("trojancam-fleet")


@runtime_checkable
class Pool(Protocol):
    """What works on units: here, or on other machines."""

    def results(self, units: Iterator[Unit]) -> Iterator[tuple[Unit, Result]]:
        """What becomes of each unit, as soon as that is known."""


@dataclass(frozen=True)
class Fleet(Brief):
    """A fleet that was worked on: its rows in the order of the manifest, its folder, the table in it and the page."""

    rows: tuple[Row, ...]
    folder: Path
    table: Path
    page: Path

    @property
    def results(self) -> list[Result]:
        """What became of each model."""
        return [row.result for row in self.rows if row.result is not None]

    @property
    def exit_code(self) -> int:
        """1 if there is evidence of a backdoor, else 3 if anything is inconclusive or not judged, else 0."""
        return exit_code(self.results)

    def in_words(self) -> list[str]:
        """How many models have each verdict, and the worst ones."""
        return in_words(self.rows)

    def __repr__(self) -> str:
        return "\n".join([f"Fleet of {len(self.rows)} models in {self.folder}", *self.in_words()])


NAMED = 10  # rows, at most, that are told in words


def in_words(rows: Sequence[Row]) -> list[str]:
    """How many models have each verdict, those with evidence first, and each of the worst in a line."""
    verdicts = Counter(row.result.verdict for row in rows if row.result is not None)
    order = sorted(verdicts, key=lambda each: (each != "backdoor", each not in DOUBT, each))
    told = [f"{len(rows)} models: {', '.join(f'{verdicts[each]} {each}' for each in order)}"]
    worst = [row for verdict in order if verdict == "backdoor" or verdict in DOUBT for row in rows
             if row.result is not None and row.result.verdict == verdict]  # fmt: skip
    for row in worst[:NAMED]:
        assert row.result is not None
        why = row.result.note if row.result.verdict not in ("backdoor", "inconclusive") else _finding(row.result)
        told.append(f"  {row.file}: {row.result.verdict}{': ' if why else ''}{why}")
    if len(worst) > NAMED:
        told.append(f"  and {len(worst) - NAMED} more, in the table")
    return told


def _finding(found: Result) -> str:
    parts = [
        "" if found.class_name is None else f"class {found.class_name}",
        found.place or "",
        "" if found.score is None else f"score {found.score:.3g} of its threshold",
        "" if found.p_value is None else f"p = {found.p_value:.3g}",
    ]
    return ", ".join(filter(None, parts))


def fleet(
    models: str | Path | Iterable[str | Path],
    task: str = "scan",
    *,
    data: str | Path | None = None,
    jobs: int = 1,
    deadline: float | int | str = "15m",
    memory: int | str = "4G",
    shard: str | tuple[int, int] | None = None,
    scheduler: str | None = None,
    images: int | None = None,
    methods: given.GivenNames = (),
    families: given.GivenNames = (),
    victims: given.GivenNames = (),
    budget: float | int | str | None = None,
    reference: str | Path | None = None,
    settings: Sequence[str] = (),
    seed: int = 0,
    parquet: bool = False,
    out: str | Path = OUT,
    progress: Progress | None = None,
) -> Fleet:
    """Work on many models, each in a process of its own, and write one table; what is done already is not done again.

    `models` is a manifest (CSV or JSON lines with the column `path`, and perhaps `architecture`, `key`, `output`,
    `preprocessing` and `data`), a folder, a pattern, or a list of paths. `task` is `scan`, `inspect`, `repair` or `compare`.
    `data` are the labelled images of all rows that name none. `jobs` models are worked on at a time; each may take `deadline`
    (seconds, or `15m`) and `memory` (bytes, or `4G`) beside the libraries. What fails, hangs or is hostile is a row that is not
    judged. `shard`, such as `2/5`, takes a part of the rows; the same call without it then gathers the parts. With
    `scheduler`, dask works on them: `local`, `slurm`, or an address on this machine or behind TLS. `settings` are those of a
    scan's methods, such as `stimulation.rounds=80`. All else is as the task takes it.

    Raises:
        DataError: if the manifest, a limit, or a setting is not to be understood.
        UnknownNameError: if there is no such method, family or setting.
        TrojanCamError: if the folder cannot be written to, or another run works in it.

    >>> import tempfile, trojancam as tc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = tc.fleet(["nets/missing.pt"], "inspect", out=Path(folder, "out"))
    ...     [(row.file, row.result.verdict) for row in found.rows], found.exit_code
    ([('nets/missing.pt', 'not judged')], 3)
    """
    limits = Limits(seconds=seconds_of(deadline), memory=bytes_of(memory))
    told = Settings(
        task=_task(task),
        images=images,
        methods=_names(methods),
        families=_names(families),
        victims=_names(victims),
        budget=None if budget is None else str(budget),
        reference=None if reference is None else Path(reference).absolute(),
        changed=tuple(settings),
        seed=seed,
    )
    _check(told, jobs, parquet, scheduler)
    entries = read_manifest(models)
    chosen = tuple(enumerate(entries)) if shard is None else part(entries, shard)
    units = Units(told, None if data is None else absolute(Path(data)), Path.cwd())
    folder = writable_folder(Path(out).absolute())
    store = Store(folder)
    table_file = folder / f"fleet{shard_name(shard)}.sqlite"
    with only_run_on(table_file), Table(table_file) as table:
        table.begin(chosen, _about(told, limits, data, shard))
        pool = LocalPool(store, jobs, limits) if scheduler is None else DaskPool(store, scheduler, jobs, limits)
        run(chosen, units, pool, store, limits, table, shown(progress))
        rows, said = table.rows(), table.about()
    return Fleet(rows, folder, table_file, _exported(rows, table_file, said, parquet))


def _check(told: Settings, jobs: int, parquet: bool, scheduler: str | None) -> None:
    """Refuse what could not be done, before any file is read."""
    if jobs < 1:
        raise DataError(f"at least one model is worked on at a time, not {jobs}")
    check_settings(told)
    if parquet:
        parquet_writer()
    if scheduler is not None:
        check_scheduler(scheduler)
        library()


def _about(
    told: Settings, limits: Limits, data: str | Path | None, shard: str | tuple[int, int] | None
) -> dict[str, Any]:
    """What the table says of the run as a whole."""
    return {
        "trojancam": __version__,
        "settings": told.model_dump(mode="json"),
        "limits": limits.model_dump(mode="json"),
        "data": "rendered signs, where a row names none" if data is None else as_text(data),
        "shard": "all rows" if shard is None else shard_name(shard).strip("-").replace("-", " "),
    }


def _exported(rows: tuple[Row, ...], table: Path, about: Mapping[str, str], parquet: bool) -> Path:
    """The page, beside the table in the other formats."""
    export_csv(rows, table.with_suffix(".csv"))
    export_lines(rows, table.with_suffix(".jsonl"))
    if parquet:
        export_parquet(rows, table.with_suffix(".parquet"))
    return write_fleet_page(rows, table.with_suffix(".html"), about)


def run(
    entries: Sequence[tuple[int, Entry]],
    units: Units,
    pool: Pool,
    store: Store,
    limits: Limits,
    table: Table,
    progress: Progress,
) -> None:
    """Fill the table: with results that are kept, then with those that a pool works on. Equal units are worked on once.

    Raises:
        TrojanCamError: if the pool cannot work, or nothing can be written.
    """
    waiting: dict[str, list[int]] = defaultdict(list)
    known: dict[str, Result] = {}
    names = {place: entry.file for place, entry in entries}
    done = 0

    def conclude(place: int, result: Result, unit: Unit | None = None) -> None:
        nonlocal done
        done += 1
        table.finish(place, result, unit.sha256 if unit else None, unit.key if unit else None)
        progress(done, len(entries), f"{names[place]}: {result.verdict}")

    def outstanding() -> Iterator[Unit]:
        for place, entry in entries:
            try:
                unit = units.of(entry)
            except (TrojanCamError, OSError) as error:
                conclude(place, Result("refused", note=str(error)))
                continue
            found = known.get(unit.key) or store.kept(unit, limits)
            if found is not None:
                conclude(place, found, unit)
                continue
            waiting[unit.key].append(place)
            if len(waiting[unit.key]) == 1:
                yield unit

    progress(0, len(entries), "the first model")
    for unit, result in pool.results(outstanding()):
        known[unit.key] = result
        for place in waiting.pop(unit.key):
            conclude(place, result, unit)


def _task(name: str) -> Task:
    for known in TASKS:
        if name == known:
            return known
    raise unknown_name("task", name, TASKS)


def _names(said: given.GivenNames) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said)
