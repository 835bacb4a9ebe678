"""The cache: bounded, shared by threads, and everything in it is made once."""

import threading
from dataclasses import dataclass

import pytest
import torch

from trojancam.explore.caches import ENTRY, Cache, bytes_in

LIMIT = 2 * ENTRY + 100


def test_the_least_recently_used_is_forgotten():
    cache, made = Cache(LIMIT), []

    def get(key):
        return cache.get(key, lambda: made.append(key) or torch.zeros(10))

    get("a"), get("b"), get("a"), get("c"), get("a"), get("b")
    assert made == ["a", "b", "c", "b"]
    assert (len(cache), cache.held) == (2, 2 * (ENTRY + 40))


def test_what_is_larger_than_all_of_it_is_not_kept():
    cache = Cache(LIMIT)
    cache.get("small", lambda: torch.zeros(5))
    assert cache.get("large", lambda: torch.zeros(LIMIT)).shape == (LIMIT,)
    assert (len(cache), cache.held) == (1, ENTRY + 20)


def test_a_value_is_made_once_however_many_ask():
    cache, made, asked = Cache(LIMIT), [], threading.Event()

    def make():
        asked.wait(5)
        made.append(1)
        return len(made)

    got = []
    threads = [threading.Thread(target=lambda: got.append(cache.get("key", make))) for _ in range(8)]
    for thread in threads:
        thread.start()
    asked.set()
    for thread in threads:
        thread.join()
    assert (made, got) == ([1], [1] * 8)


def test_what_goes_wrong_is_told_and_tried_again():
    cache = Cache(LIMIT)
    with pytest.raises(ZeroDivisionError):
        cache.get("key", lambda: 1 / 0)
    assert cache.get("key", lambda: 7) == 7


def test_keys_can_be_forgotten():
    cache = Cache(LIMIT)
    for key in (("m1", 1), ("m2", 1)):
        cache.get(key, lambda: torch.zeros(5))
    cache.forget(lambda key: key[0] == "m1")
    assert (len(cache), cache.held) == (1, ENTRY + 20)


def test_bytes_are_counted_however_values_are_nested():
    @dataclass
    class Held:
        tensors: tuple
        words: str

    assert bytes_in([Held((torch.zeros(2, dtype=torch.float64), {"a": torch.zeros(1)}), "four"), 7, None]) == 24
