"""README: its commands take files that an earlier one leaves, and its links lead somewhere; test_guides.py runs its code."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LEFT = ("benign.safetensors", "trojaned.safetensors", "sign-with-trigger.png")  # tests/tasks/test_demo.py looks at them
COMMANDS = [line.partition("#")[0].strip() for line in README.splitlines() if line.startswith("trojancam ")]


def test_the_readme_has_commands() -> None:
    assert {"demo", "scan", "explain", "train", "explore"} <= {command.split()[1] for command in COMMANDS}


def test_files_that_the_readme_names_are_left_by_the_command_before() -> None:
    assert COMMANDS[0] == "trojancam demo"
    named = {word for command in COMMANDS for word in shlex.split(command) if re.search(r"\.(safetensors|png)$", word)}
    made = {shlex.split(command)[shlex.split(command).index("--out") + 1] for command in COMMANDS if "--out" in command}
    assert named - made == {f"trojancam-demo/{file}" for file in LEFT}


def test_a_repair_takes_the_scan_that_was_just_made() -> None:
    """Without it, it would scan again, which takes minutes."""
    places = {command.split()[1]: place for place, command in enumerate(COMMANDS)}
    assert places["scan"] < places["repair"]
    assert "--scan trojancam-scan/scan.json" in COMMANDS[places["repair"]]


def test_links_and_targets_of_the_readme_exist() -> None:
    links = re.findall(r"\]\(((?!https?:)[^)#]+)", README)
    assert len(links) > 10
    assert [link for link in links if not (ROOT / link).exists()] == []
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", README, flags=re.MULTILINE)
    assert targets
    assert [target for target in targets if f"\n{target}:" not in makefile] == []
