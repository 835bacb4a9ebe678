"""Repairs: a process of its own like a scan's; the repaired network is looked at, saved, and gone on with after a restart."""

import json
import sys

import pytest
import torch
from tests.explore.conftest import SUBJECT, asking, new_session, served, wait

from trojancam.explore.refusals import RefusedError, UnknownError
from trojancam.explore.repairs import Repairs
from trojancam.explore.scans import Scans
from trojancam.explore.subjects import RepairRequest, ScanRequest
from trojancam.opening.open import load

ASKED = RepairRequest(model="m1", images=2)
LINES = "import json, shutil, sys, pathlib\ndef tell(**what): print(json.dumps(what), flush=True)\n"
SLOW = LINES + 'tell(done=2, total=8, note="judging")\nsys.stdin.read()'
DONE = LINES + (
    "folder = pathlib.Path(sys.argv[1]); job = json.loads((folder / 'job.json').read_text())\n"
    "shutil.copy(job['path'], folder / 'network.safetensors')\n"
    "(folder / 'repair.json').write_text(json.dumps({'ledger': {'verdict': 'repaired'}}))\n"
    "(folder / 'repair.html').write_text('<html>the report')\n"
    "(folder / 'words.json').write_text(json.dumps({'answer': 'Repaired'}))\n"
)


@pytest.fixture
def begin(data, model_file):
    """Repairs of a session whose processes are a few lines of Python, and its scans."""
    opened = []

    def acted(code, scan=SLOW):
        session = new_session(data, model_file)
        scans = Scans(session, [sys.executable, "-c", scan])
        opened.append((session, scans, Repairs(session, scans, [sys.executable, "-c", code])))
        return opened[-1]

    yield acted
    for session, scans, repairs in opened:
        repairs.close()
        scans.close()
        session.close()


def test_progress_is_told_and_a_repair_is_cancelled(begin):
    _, _, repairs = begin(SLOW)
    identifier = repairs.start(ASKED)
    wait(lambda: repairs.child(identifier).done == 2)
    told = repairs.told(identifier)
    assert (told["state"], told["message"], told["repaired"]) == ("running", "repairing: judging", None)
    assert repairs.start(ASKED) == identifier
    repairs.cancel(identifier)
    told = repairs.told(identifier)
    assert told["message"] == "the repair was cancelled; start it again to resume from its last finished step"
    with pytest.raises(UnknownError, match="the repair has no report yet"):
        repairs.page(identifier)


def test_steps_are_kept_where_the_same_repair_finds_them_after_a_restart(begin):
    jobs = [repairs.child(repairs.start(ASKED)).job for _, _, repairs in (begin(SLOW), begin(SLOW))]
    assert jobs[0].journal == jobs[1].journal
    _, _, repairs = begin(SLOW)
    other = repairs.child(repairs.start(RepairRequest(model="m1", images=2, method="anp"))).job
    assert other.journal != jobs[0].journal


def test_the_repaired_network_is_looked_at_and_saved(begin, network):
    session, scans, repairs = begin(DONE)
    with served(session, scans=scans, repairs=repairs) as (access, address), asking(access, address) as client:
        identifier = client.post("/api/repairs", json=ASKED.model_dump(mode="json")).json()["id"]
        assert repairs.child(identifier).ended.wait(30)
        told = client.get(f"/api/repairs/{identifier}").json()
        assert (told["state"], told["words"]) == ("finished", {"answer": "Repaired"})
        assert told["repaired"]["name"] == "repaired: trojan2.safetensors"
        assert [each["id"] for each in client.get("/api/session").json()["models"]] == ["m1", told["repaired"]["id"]]
        answer = client.post("/api/explain", json={"subject": {**SUBJECT, "model": told["repaired"]["id"]}})
        before = client.post("/api/explain", json={"subject": SUBJECT}).json()
        assert answer.json()["logits"] == pytest.approx(before["logits"])
        assert client.get(f"/api/repairs/{identifier}/page").text == "<html>the report"
        saved = client.get(f"/api/repairs/{identifier}/network")
        assert 'filename="repaired.safetensors"' in saved.headers["content-disposition"]
        path = repairs.child(identifier).folder / "saved.safetensors"
        path.write_bytes(saved.content)
        image = torch.rand(1, 3, 32, 32)
        assert torch.equal(load(path)(image), network(image))
        code = client.post("/api/code", json={"view": "repair", "model": "m1", "repair": identifier}).json()["python"]
        assert "tc.repair(network.without_card(), *ours.take(len(ours)), None, 'ladder'" in code


def test_a_scan_of_this_network_that_is_finished_is_taken_over(begin):
    _, scans, repairs = begin(SLOW)
    scan = scans.start(ScanRequest(model="m1", images=8))
    with pytest.raises(RefusedError, match="not finished"):
        repairs.start(RepairRequest(model="m1", scan=scan))
    with pytest.raises(UnknownError):
        repairs.start(RepairRequest(model="m1", scan="s9"))
    scans.child(scan).state = "finished"
    job = repairs.child(repairs.start(RepairRequest(model="m1", images=2, scan=scan))).job
    assert job.report == scans.child(scan).folder / "scan.json"
    assert json.loads(job.model_dump_json())["method"] == "ladder"
