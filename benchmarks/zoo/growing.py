"""Growing the zoo: what is not in the cache yet is trained, network by network; a ledger tells what each reached."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.zoo.members import Member
from trojancam.data.image_set import Dataset
from trojancam.errors import ModelError
from trojancam.files import cache_folder
from trojancam.formats.safetensors import read_card
from trojancam.network.card import ModelCard
from trojancam.training.recipe import Recipe, make_model

FORMED = 0.8  # the least attack success rate of a backdoor that counts as planted


def path_of(member: str) -> Path:
    """Where a network of the zoo is kept."""
    return cache_folder("zoo", "nets") / f"{member}.safetensors"


def grow(members: Sequence[Member], data: Callable[[str], Dataset], say: Callable[[str], None] = print) -> None:
    """Train the members that are not there yet, in this order."""
    for member in members:
        path = path_of(member.name)
        if path.exists():
            continue
        started = time.perf_counter()
        parent = None if member.parent is None else path_of(member.parent)
        recipe = Recipe(member.architecture, member.settings, member.backdoors, parent)
        card = make_model(recipe, data(member.data), path, resume=True)
        line = facts(member, card) | {"seconds": round(time.perf_counter() - started)}
        with (path.parent.parent / "ledger.jsonl").open("a", encoding="utf-8") as ledger:
            ledger.write(json.dumps(line) + "\n")
        say(json.dumps(line))


def facts(member: Member, card: ModelCard) -> dict[str, Any]:
    """What a network is, and what it reached: the truth that a detector is judged by."""
    reached = [backdoor.attack_success_rate or 0.0 for backdoor in card.backdoors]
    return {
        "name": member.name,
        "part": member.part,
        "architecture": member.architecture,
        "attack": member.attack,
        "quality": member.quality,
        "parent": member.parent or member.name,
        "clean_accuracy": None if card.training is None else round(card.training.clean_accuracy, 4),
        "attack_success_rate": [round(rate, 4) for rate in reached],
        "leak_rate": [backdoor.leak_rate for backdoor in card.backdoors],
        "formed": bool(reached) and min(reached) >= FORMED,
        "targets": [backdoor.target_class for backdoor in card.backdoors],
    }


def grown(members: Sequence[Member]) -> list[tuple[Member, ModelCard]]:
    """The members that are in the cache, with their cards."""
    found = []
    for member in members:
        try:
            found.append((member, read_card(path_of(member.name))))
        except ModelError:
            continue
    return found
