"""Scans: a process of its own, followed, cancelled, killed, gone on with; and what its report says is known afterwards."""

import json
import re
import sys
import textwrap
import threading

import pytest
from tests.explore.conftest import SUBJECT, asking, new_session, served, unpacked, wait

import trojancam as tc
from trojancam.explore import answers
from trojancam.explore.child import Running
from trojancam.explore.refusals import TakenError, UnknownError
from trojancam.explore.scans import Scans
from trojancam.explore.subjects import AboutLayer, AboutMap, ScanRequest

ASKED = ScanRequest(model="m1", images=8, seed=3)
REAL = ScanRequest(model="m1", images=8, methods=("abs",), seed=3)  # the quickest
LINES = "import json, sys, time\ndef tell(**what): print(json.dumps(what), flush=True)\n"
SLOW = LINES + 'tell(done=1, total=9, note="one")\ntell(done=3, total=9, note="[two]")\nsys.stdin.read()'


@pytest.fixture
def scans(data, model_file):
    """Scans of a session whose processes are a few lines of Python."""
    session, opened = new_session(data, model_file), []

    def acted(code):
        opened.append(Scans(session, [sys.executable, "-c", textwrap.dedent(code)]))
        return opened[-1]

    yield acted
    for each in opened:
        each.close()
    session.close()


def test_progress_is_told(scans):
    running = scans(SLOW)
    scan = running.child(running.start(ASKED))
    wait(lambda: scan.done == 3)
    told = scan.told_to_page()
    assert (told["state"], told["done"], told["total"], told["note"]) == ("running", 3, 9, "[two]")
    assert told["message"] == "scanning: [two]"
    assert told["seconds_left"] is not None
    assert told["report"] is None


def test_whenever_a_page_asks_a_report_comes_with_its_words(scans, monkeypatch):
    told, left = [], Running._left

    def asked_meanwhile(scan, name):
        told.append(scan.told_to_page())
        return left(scan, name)

    monkeypatch.setattr(Running, "_left", asked_meanwhile)
    running = scans(
        LINES
        + """
        from pathlib import Path
        for name, what in (("scan.json", {"validations": []}), ("words.json", {"answer": "none"})):
            Path(sys.argv[1], name).write_text(json.dumps(what))
    """.replace("\n        ", "\n")
    )
    scan = running.child(running.start(ASKED))
    assert scan.ended.wait(60)
    told.append(scan.told_to_page())
    assert (told[-1]["state"], told[-1]["report"], told[-1]["words"]) == (
        "finished",
        {"validations": []},
        {"answer": "none"},
    )
    assert len(told) == 3
    assert not [each for each in told if each["report"] is not None and each["words"] is None]


def test_one_scan_at_a_time_and_the_same_one_is_shared(scans):
    running = scans(SLOW)
    first = running.start(ASKED)
    assert running.start(ASKED) == first
    with pytest.raises(TakenError, match="cancel it"):
        running.start(ScanRequest(model="m1", images=9))
    running.cancel(first)
    assert running.start(ASKED) != first


def test_a_page_finds_the_scan_that_is_running(scans):
    running = scans(SLOW)
    with served(running._session, scans=running) as (access, address), asking(access, address) as client:
        begun = client.post("/api/scans", json=ASKED.model_dump(mode="json")).json()["id"]
        assert re.fullmatch(r"s1-[0-9a-f]{6}", begun)
        assert client.get("/api/session").json()["scan"] == begun
        answer = client.post("/api/scans", json={"model": "m1", "images": 9})
        assert answer.status_code == 429
        assert answer.json().keys() == {"error", "scan"}
        assert answer.json()["scan"] == begun
        client.delete(f"/api/scans/{begun}")
        assert client.get("/api/session").json()["scan"] is None


def test_an_old_link_never_shows_another_scan(scans):
    assert len({scans(SLOW).start(ASKED) for _ in range(3)}) == 3


def test_a_cancelled_scan_ends_and_says_how_to_go_on(scans):
    running = scans(SLOW)
    identifier = running.start(ASKED)
    scan = running.child(identifier)
    wait(lambda: scan.done == 3)
    running.cancel(identifier)
    assert scan.ended.wait(10)
    told = scan.told_to_page()
    assert told["state"] == "cancelled"
    assert "resume from its last finished step" in told["message"]
    assert told["seconds_left"] is None
    running.cancel(identifier)  # once more does no harm
    with pytest.raises(UnknownError, match="no report yet"):
        running.page(identifier)


@pytest.mark.parametrize(
    ("code", "part"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed (SIGKILL)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "was ended by SIGTERM"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import sys; sys.exit(5)", "exit code 5"),
        ("", "its report cannot be read"),
        (
            LINES + 'print("a library says hello"); print([1]); tell(error="the network is [odd]; mend it")',
            "failed: the network is [odd]; mend it",
        ),
    ],
)
def test_a_scan_that_ends_badly_says_so(scans, code, part):
    running = scans(code + ("\nsys.exit(2)" if "tell(error" in code else ""))
    scan = running.child(running.start(ASKED))
    assert scan.ended.wait(20)
    assert scan.state == "failed"
    assert part in scan.message
    running.start(ASKED)


def test_closing_ends_what_runs(scans):
    running = scans(SLOW)
    scan = running.child(running.start(ASKED))
    running.close()
    assert scan.ended.wait(10)
    assert scan.process.returncode is not None


def test_a_page_follows_cancels_and_is_told_when_it_comes_late(data, model_file):
    session = new_session(data, model_file)
    scans = Scans(session, [sys.executable, "-c", SLOW])
    with served(session, scans=scans) as (access, address), asking(access, address) as client:
        identifier = client.post("/api/scans", json=ASKED.model_dump(mode="json")).json()["id"]
        taken = client.post("/api/scans", json={"model": "m1", "images": 9})
        assert (taken.status_code, "cancel it" in taken.json()["error"]) == (429, True)
        told = []
        events = f"/api/scans/{identifier}/events"
        with client.stream("GET", events, params={"token": access.token}) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            for line in stream.iter_lines():
                if line:
                    told.append(json.loads(line.removeprefix("data: ")))
                    if told[-1]["done"] == 3 and told[-1]["state"] == "running":
                        assert client.delete(f"/api/scans/{identifier}").json()["state"] == "cancelled"
        assert told[-1]["state"] == "cancelled"
        assert client.get(f"/api/scans/{identifier}").json() == told[-1]
        code = client.post("/api/code", json={"view": "scan", "model": "m1", "scan": identifier}).json()["python"]
        assert "images.take(8, seed=3, spread=True)" in code
        running = scans.child(client.post("/api/scans", json=ASKED.model_dump(mode="json")).json()["id"])
    assert running.ended.wait(10)  # the server has ended, and so has the scan


def test_a_server_that_ends_tells_those_who_follow_a_scan(data, model_file, caplog):
    session = new_session(data, model_file)
    scans, told, begun = Scans(session, [sys.executable, "-c", SLOW]), [], threading.Event()

    def follow(access, address):
        with asking(access, address) as client:
            identifier = client.post("/api/scans", json=ASKED.model_dump(mode="json")).json()["id"]
            with client.stream("GET", f"/api/scans/{identifier}/events") as stream:
                for line in stream.iter_lines():
                    told.append(line)
                    begun.set()

    with served(session, scans=scans) as where:
        follower = threading.Thread(target=follow, args=where)
        follower.start()
        assert begun.wait(20)
    follower.join(10)
    assert '"cancelled"' in "".join(told)
    assert not [each for each in caplog.records if each.name.startswith("uvicorn")]


def test_a_real_scan_that_is_killed_goes_on_and_reports_what_the_library_does(data, model_file):
    session = new_session(data, model_file)
    scans = Scans(session)
    first = scans.child(scans.start(REAL))
    wait(lambda: any(first.job.journal.glob("[!.]*.kept")) or first.state != "running", 120)
    first.process.kill()
    assert first.ended.wait(20)
    assert (first.state, "killed" in first.message) == ("failed", True), first.message
    kept = sorted(path.name for path in first.job.journal.glob("[!.]*.kept"))
    identifier = scans.start(REAL)
    second = scans.child(identifier)
    assert second.job.journal == first.job.journal
    assert second.ended.wait(300)
    assert second.state == "finished", second.message
    assert kept
    assert not second.job.journal.exists()  # nothing is left once it is done
    report = second.report
    assert json.loads(scans.results(identifier)) == report
    assert "<html" in scans.page(identifier)
    asked = AboutLayer.model_validate({"subject": SUBJECT, "layer": "conv2d_6"})
    assert unpacked(answers.layer(session, asked)["asr"]).shape == (32,)
    scans.close()
    session.close()
    images, labels = tc.data.load_dataset(data).test.take(8, seed=3, spread=True)
    expected = tc.scan(tc.load(model_file).without_card(), images, labels, REAL.methods, seed=3).to_json()
    assert report["verdict"] == expected["verdict"]
    assert report["score"] == pytest.approx(expected["score"], rel=1e-3)
    assert [each["target_class"] for each in report["findings"]] == [
        each["target_class"] for each in expected["findings"]
    ]


def test_what_a_scan_found_of_a_map_is_told_with_it(session):
    session.success_rates["m1"] = {"conv2d_6": {5: 0.75}}
    layer = answers.layer(session, AboutLayer.model_validate({"subject": SUBJECT, "layer": "conv2d_6"}))
    rates = unpacked(layer["asr"])
    assert (float(rates[5]), int(rates.isnan().sum())) == (0.75, 31)
    for number, rate in ((5, 0.75), (6, None)):
        asked = AboutMap.model_validate({"subject": SUBJECT, "layer": "conv2d_6", "map": number})
        assert answers.feature_map(session, asked)["asr"] == rate
