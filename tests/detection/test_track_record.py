"""The track record: what a scan tells of how often such scans were right, and when it keeps silent."""

from pathlib import Path

from tests.detection.planted import planted

from trojancam.detection import scanning
from trojancam.detection.scanning import DEFAULT_METHODS, scan
from trojancam.detection.settings import changed
from trojancam.detection.track_record import OF_TESTS, Counted, TrackRecord, own_track_record

QUICK = {"screen.steps": 1, "detail.steps": 1}


def test_that_of_the_package_is_of_the_usual_methods_and_counts_no_more_than_there_were() -> None:
    known = own_track_record()
    assert set(known.methods) == set(DEFAULT_METHODS)
    assert known.found
    assert all(0 <= each.count <= each.of for each in [*known.found.values(), known.alarms])
    assert known.alarms.of
    assert known.doubts is not None
    assert known.doubts.of == known.alarms.of
    assert known.doubts.count + known.alarms.count <= known.alarms.of
    told = (Path(__file__).parents[2] / "docs" / "zoo.md").read_text(encoding="utf-8")
    suspected = [line for line in told.splitlines() if line.startswith("- ") and ", clean: inconclusive;" in line]
    assert known.doubts.count == len(suspected)


def test_a_scan_tells_it_only_where_it_searched_as_usual() -> None:
    usual = {name: scanning.DETECTORS[name].settings for name in DEFAULT_METHODS}
    told = scanning._track_record
    assert told(usual, {}) == own_track_record()
    assert told(usual | {"abs": scanning.DETECTORS["abs"].settings}, {}) == own_track_record()  # it does not decide
    assert told(usual, {"warp": "no time"}) is None
    assert told({"stimulation": usual["stimulation"]}, {}) is None
    stimulation = usual["stimulation"]
    assert stimulation is not None
    assert told(usual | {"stimulation": changed(stimulation, {"rounds": 80}, "stimulation")}, {}) is None


def test_other_scans_keep_silent_about_it() -> None:
    whole = planted(True)
    report = scan(whole.network, whole.images, whole.labels, "additive", settings={"additive": QUICK})
    assert report.coverage.track_record is None
    assert report.to_json()["coverage"]["track_record"] is None


def test_it_is_said_with_its_interval_and_of_clean_networks_too() -> None:
    record = TrackRecord(
        found={"patch": Counted(count=5, of=5), "warp": Counted(count=0, of=2)},
        alarms=Counted(count=1, of=9),
        doubts=Counted(count=2, of=9),
    )
    first, second, third, last = record.in_words()
    assert "patch 5 of 5 (57 to 100 %), warp 0 of 2 (0 to 66 %)" in first
    assert second.endswith("it called backdoored: 1 of 9 (2 to 43 %).")
    assert third == "Of the same, it left inconclusive: 2 of 9 (6 to 55 %)."
    assert last == OF_TESTS
    assert record.model_copy(update={"doubts": None}).in_words() == [first, second, last]  # as earlier scans wrote it
    assert TrackRecord().in_words() == []
