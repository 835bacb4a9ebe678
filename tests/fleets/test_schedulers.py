"""What docs/fleet.md says of SLURM, Kubernetes and GNU parallel, run as it stands there; only numbers and paths are others."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.fleets.shelf import ROOT, good

from trojancam.errors import TrojanCamError
from trojancam.fleets import dask_cluster
from trojancam.fleets.table import read_rows

PAGE = (ROOT / "docs" / "fleet.md").read_text(encoding="utf-8")
JOB = ROOT / "examples" / "kubernetes-job.yml"
PATIENCE = 300  # seconds for jobs of a few seconds


def blocks(words: str) -> list[str]:
    """The commands on the page in whose block these words stand."""
    return [block for block in re.findall(r"^```[^\n]*\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) if words in block]


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A folder as the page has it: three models in `nets`, and a manifest of them."""
    (tmp_path / "nets").mkdir()
    models = [good(tmp_path / "nets" / f"{number}.pt2", number) for number in range(3)]
    (tmp_path / "shelf.csv").write_text("\n".join(["path", *map(str, models)]))
    return tmp_path


def shell(commands: str, folder: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    """Commands as a shell runs them, where `trojancam` is this one."""
    (folder / "bin").mkdir(exist_ok=True)
    own = folder / "bin" / "trojancam"
    own.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m trojancam "$@"\n')
    own.chmod(0o755)
    paths = {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path]), "OMP_NUM_THREADS": "1"}
    environment = os.environ | paths | {"PATH": f"{own.parent}{os.pathsep}{os.environ['PATH']}"} | more
    with subprocess.Popen(
        ["bash", "-c", commands], cwd=folder, env=environment, text=True, stdout=-1, stderr=-1, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(commands, process.returncode, output, errors)


def opened(folder: Path, *tables: str) -> list[list[str]]:
    """The names of the models that were opened, by table."""
    found = [read_rows(folder / f"{table}.sqlite") for table in tables]
    return [[Path(row.path).name for row in rows if row.result and row.result.verdict == "opened"] for rows in found]


def slurm_answers() -> bool:
    return bool(shutil.which("sbatch")) and not subprocess.run(["sinfo"], capture_output=True, check=False).returncode


slurm = pytest.mark.skipif(not slurm_answers(), reason="no SLURM answers here")


@slurm
def test_an_array_of_slurm_and_the_job_that_gathers(shelf: Path) -> None:
    (script,), (submit,) = blocks("#SBATCH"), blocks("--dependency")
    for said, here in (("1-50", "1-2"), ("/50", "/2"), ("=12G", "=1G"), ("task=2", "task=1")):
        assert script.count(said) == 1
        script = script.replace(said, here)
    for said, here in (("--data /shared/signs", "--task inspect"), ("/shared/", f"{shelf}/")):
        script, submit = script.replace(said, here), submit.replace(said, here)
    (shelf / "scan.sh").write_text(script)
    told = shell(submit.replace("--dependency", "--wait --dependency"), shelf)
    assert told.returncode == 0, told.stderr
    assert opened(shelf / "shelf", "fleet-1-of-2", "fleet-2-of-2", "fleet") == [
        ["0.pt2", "2.pt2"],
        ["1.pt2"],
        ["0.pt2", "1.pt2", "2.pt2"],
    ]


@slurm
@pytest.mark.filterwarnings("ignore")  # dask's own
def test_workers_that_are_jobs_of_slurm(shelf: Path) -> None:
    """They leave neither jobs nor keys."""
    pytest.importorskip("dask_jobqueue")
    (commands,) = blocks("--scheduler slurm")
    command = next(line for line in commands.splitlines() if line.startswith("trojancam"))
    told = shell(command, shelf)
    assert told.returncode == 0, told.stderr
    assert opened(shelf / "shelf", "fleet") == [["0.pt2", "1.pt2", "2.pt2"]]
    assert not list(shelf.rglob(".dask*"))
    assert list((shelf / "shelf" / "logs").glob("dask-worker-*.err"))
    assert "UserWarning" not in told.stderr


def test_where_slurm_is_not_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        pytest.raises(TrojanCamError, match="--scheduler slurm needs sbatch, which is not here"),
        dask_cluster.client_of("slurm", 1, 1 << 30, tmp_path),
    ):
        pass


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU parallel is not installed")
def test_gnu_parallel(shelf: Path) -> None:
    (commands,) = blocks("parallel trojancam")
    told = shell(commands, shelf, HOME=str(shelf))
    assert told.returncode == 0, told.stderr
    parts = [f"fleet-{number}-of-4" for number in (1, 2, 3, 4)]
    assert opened(shelf / "shelf", *parts) == [["0.pt2"], ["1.pt2"], ["2.pt2"], []]
    assert len(opened(shelf / "shelf", "fleet")[0]) == 3


def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(JOB.read_text(encoding="utf-8"))
    return found


def test_the_command_of_the_pods_of_kubernetes(shelf: Path) -> None:
    """Each pod takes the shard after its number; verdicts are no failures, errors are."""
    spec = job()["spec"]
    (pod,) = spec["template"]["spec"]["containers"]
    assert pod["command"] == ["sh", "-c"]
    (script,) = pod["args"]
    assert f"/{spec['completions']} " in script
    script = script.replace(f"/{spec['completions']} ", "/2 ").replace("--data signs", "--task inspect")
    for number in (0, 1):
        told = shell(shlex.join(["sh", "-c", script]), shelf, JOB_COMPLETION_INDEX=str(number))
        assert told.returncode == 0, told.stderr
    assert opened(shelf / "shelf", "fleet-1-of-2", "fleet-2-of-2") == [["0.pt2", "2.pt2"], ["1.pt2"]]


def test_the_job_of_kubernetes_fits_the_schema_of_others() -> None:
    """The schemas are 100 MB, so they come with no extra of ours."""
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    for version in ("1.28", "1.33", validate.latest_version()):
        validate.validate(job(), version, strict=True)
