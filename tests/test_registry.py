"""A registry lists what there is, in order; others add to it, and none of them can break or replace anything."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tests.plug_in import write_plug_in

from trojancam.errors import TrojanCamError, TrojanCamWarning, UnknownNameError
from trojancam.registry import Registry

GROUP = "trojancam.things"
Install = Callable[..., None]


def made(name: str, given: object, prefix: str = "") -> str:
    if not isinstance(given, str):
        raise TrojanCamError(f"{name} must be a word")
    return prefix + given


def registry() -> Registry[str]:
    return Registry("thing", GROUP, made, {"b": "own b", "a": "own a"})


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package with entry points, by name, where Python finds it."""

    def add(package: str, code: str, **entries: str) -> None:
        folder = tmp_path / package
        write_plug_in(folder, {GROUP: entries}, code, package)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, package, raising=False)

    return add


def test_what_is_there_comes_in_its_order_and_what_is_added_follows() -> None:
    things = registry()
    assert things.register("z", prefix="my ")("z") == "z"
    things.register("y")("y")
    assert dict(things) == {"b": "own b", "a": "own a", "z": "my z", "y": "y"}
    assert list(things) == ["b", "a", "z", "y"]
    assert len(things) == 4
    assert things.own == ("b", "a")
    assert [things.origin(name) for name in things] == ["trojancam", "trojancam", *["registered by hand"] * 2]
    assert repr(things) == "things: b, a, z, y"


def test_it_is_a_mapping() -> None:
    things = registry()
    assert "a" in things
    assert "none" not in things
    assert things.get("none") is None
    with pytest.raises(KeyError):
        things["none"]
    with pytest.raises(UnknownNameError, match=r"^unknown thing 'bb' \(did you mean 'b'\?\); known: b, a$"):
        things.named("bb")


@pytest.mark.parametrize("name", ["", "a,b", "a b", "a/b", "a.b", "-a", "ä"])
def test_names_that_a_command_cannot_take_are_refused(name: str) -> None:
    with pytest.raises(TrojanCamError, match="cannot name a thing; use letters"):
        registry().register(name)("x")


def test_nothing_replaces_what_is_there_already() -> None:
    things = registry()
    with pytest.raises(
        TrojanCamError, match=r"^there is a thing 'a' already, which nothing replaces; choose another name$"
    ):
        things.register("a")("mine")
    assert things["a"] == "own a"


def test_the_module_that_registered_a_name_may_do_so_again() -> None:
    things = registry()
    things.register("mine")("first")
    things.register("mine")("second")
    assert things["mine"] == "second"
    other = {"__name__": "another_module", "things": things}
    with pytest.raises(TrojanCamError, match="there is a thing 'mine' already"):
        exec("things.register('mine')('third')", other)
    assert things["mine"] == "second"


def test_entry_points_are_added_by_name_and_know_their_package(install: Install) -> None:
    install("pack_two", "one = 'first'\n", y="pack_two:one")
    install("pack_one", "one, two = 'second', 'third'\n", x="pack_one:two", z="pack_one:one")
    things = registry()
    assert dict(things) == {"b": "own b", "a": "own a", "x": "third", "y": "first", "z": "second"}
    assert list(things) == ["b", "a", "x", "y", "z"]
    assert things.origin("y") == "pack_two 1.2"


def test_the_backport_of_importlib_metadata_changes_nothing(install: Install) -> None:
    pytest.importorskip("importlib_metadata")  # where it was imported, Python finds distributions of its classes
    test_entry_points_are_added_by_name_and_know_their_package(install)


def test_packages_are_imported_only_when_their_names_are_asked_for(install: Install) -> None:
    install("pack", "one = 'added'\n", x="pack:one")
    things = registry()
    assert things["a"] == "own a"
    things.register("by-hand")("x")
    assert "pack" not in sys.modules
    assert things["x"] == "added"
    assert "pack" in sys.modules


def test_a_package_that_cannot_be_imported_is_a_warning_that_names_it(install: Install) -> None:
    install("pack_bad", "import no_such_module\n", bad="pack_bad:one")
    install("pack_exit", "import sys\nsys.exit(3)\n", leaving="pack_exit:one")
    install("pack_good", "one = 'added'\n", good="pack_good:one")
    install("pack_gone", "", gone="pack_gone:one")
    install("pack_none", "one = 1\n", none="pack_none:one")
    things = registry()
    with pytest.warns(TrojanCamWarning) as warned:
        assert list(things) == ["b", "a", "good"]
    said = [str(each.message) for each in warned]
    assert len(said) == 4
    assert said[0] == (
        "the thing 'bad' of pack_bad 1.2 is left out (ModuleNotFoundError: No module named 'no_such_module'); "
        "update or uninstall it"
    )
    assert "the thing 'gone' of pack_gone 1.2 is left out (AttributeError" in said[1]
    assert "the thing 'leaving' of pack_exit 1.2 is left out (SystemExit: 3)" in said[2]
    assert said[3] == "the thing 'none' of pack_none 1.2 is left out (none must be a word); update or uninstall it"
    assert list(things) == ["b", "a", "good"]  # and it is said once


def test_a_package_replaces_nothing(install: Install) -> None:
    install("pack_a", "one = 'theirs'\n", a="pack_a:one", x="pack_a:one")
    install("pack_b", "one = 'another'\n", x="pack_b:one")
    things = registry()
    things.register("mine")("mine")
    with pytest.warns(TrojanCamWarning) as warned:
        assert dict(things) == {"b": "own b", "a": "own a", "mine": "mine", "x": "theirs"}
    assert [str(each.message) for each in warned] == [
        "the thing 'a' of pack_a 1.2 is left out (there is a thing 'a' already, which nothing replaces; choose another "
        "name); update or uninstall it",
        "the thing 'x' of pack_b 1.2 is left out (there is a thing 'x' already, which nothing replaces; choose another "
        "name); update or uninstall it",
    ]


def test_a_package_may_register_by_hand_what_its_entry_point_names(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = ModuleType("shared_registry")
    shared.things = things = registry()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shared_registry", shared)
    code = (
        "from shared_registry import things\none = 'added'\nthings.register('x')(one)\nassert 'nothing' not in things\n"
    )
    install("pack", code, x="pack:one")
    assert dict(things) == {"b": "own b", "a": "own a", "x": "added"}


def test_what_lies_in_the_current_folder_adds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plug_in(tmp_path, {GROUP: {"x": "pack:one"}}, "one = 'from a download'\n", "pack")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.delitem(sys.modules, "pack", raising=False)
    assert list(registry()) == ["b", "a"]
    assert "pack" not in sys.modules


def test_the_code_behind_a_name_has_a_name(install: Install) -> None:
    things = registry()
    assert things.code("a") == "trojancam"
    found = []
    for text in ("one = 'added'\n", "one = 'changed'\n", "one = 'added'\n"):
        things = registry()
        things.register("x")(text)
        found.append(things.code("x"))
    assert found[0] == found[1]  # both stand in this file
    for number, text in enumerate(("one = 'added'\n", "one = 'added'  # or not\n")):
        install(f"pack_{number}", text, **{f"x{number}": f"pack_{number}:one"})
    things = registry()
    codes = [things.code("x0").split(), things.code("x1").split()]
    assert [code[:2] for code in codes] == [["pack_0", "1.2"], ["pack_1", "1.2"]]
    assert codes[0][2] != codes[1][2]


def test_the_article_goes_with_the_kind() -> None:
    methods = Registry("attribution method", "trojancam.examples", lambda name, given: given, {"mine": 1})
    with pytest.raises(TrojanCamError, match="there is an attribution method 'mine' already"):
        methods.register("mine")(2)
