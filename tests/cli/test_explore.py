"""`trojancam explore`: it opens files, prints where the page is, and ends with ctrl-C; what is wrong is said in a sentence."""

import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from importlib import util

import pytest

from trojancam.explore import serving
from trojancam.training import recipe


def test_a_page_is_served_until_ctrl_c(model, signs, tmp_path):
    command = [sys.executable, "-m", "trojancam", "explore", model, model, "--data", signs, "--port", "0", "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        try:
            line = next(line for line in process.stdout if "http://" in line)
            address = re.search(r"http://127\.0\.0\.1:\d+/\S*", line)[0]
            browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with browser.open(address, timeout=30) as page:
                assert 'name="trojancam-token"' in page.read().decode()
        finally:  # or it would be waited for for ever
            process.send_signal(signal.SIGINT)
        rest, complaints = process.communicate(timeout=30)
    assert (process.returncode, complaints) == (0, "")
    assert "the explorer has ended" in rest


def test_too_many_networks_are_refused(refused, model):
    assert "compares two at most" in refused("explore", model, model, model)


def test_a_file_that_is_not_there_is_refused_and_leaves_nothing(refused, tmp_path_factory, monkeypatch):
    place = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    assert "there is no model file nothing.onnx" in refused("explore", "nothing.onnx", "--port", 0)
    assert not list(place.iterdir())


def test_a_port_that_is_taken_is_refused(refused, model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} of 127.0.0.1 is taken; choose another" in refused("explore", model, "--port", port)


@pytest.mark.parametrize("host", ["203.0.113.9", "nowhere.invalid", "a..b"])
def test_a_host_of_others_is_refused(refused, model, host):
    assert "such as 127.0.0.1" in refused("explore", model, "--host", host, "--port", 0)


def test_what_is_not_installed_is_named(refused, model, monkeypatch):
    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    assert "needs uvicorn, not installed here; type: pip install 'trojancam[web]'" in refused("explore", model)


def test_without_a_file_the_demonstration_is_opened(run, model, signs, monkeypatch):
    """Its networks are those of the demonstration's recipes, the trojaned one first."""
    asked, seen = [], []

    def cached(recipe, dataset, progress):
        asked.append((recipe.architecture, recipe.poisoning is not None))
        return model

    def serve(session, host, listening, ready):
        seen.extend(each.source.name for each in session.models.values())

    monkeypatch.setattr(recipe, "cached_model", cached)
    monkeypatch.setattr(serving, "serve", serve)
    assert run("explore", "--data", signs, "--port", 0, "--no-open").exit_code == 0
    assert asked == [("trojan2", True), ("basic", False)]
    assert len(seen) == 2
