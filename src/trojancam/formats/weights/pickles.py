"""Pickles, looked at and never loaded: which names one would import, and what it would call.

A pickle is a program for a small machine with a stack. Here that machine is run on paper: an import gives the imported
name, a call gives the note that it would be called, and nothing else happens.
"""

import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

LARGEST = 64 << 20  # bytes of a pickle, without the tensors that lie beside it
MOST_STEPS = 250_000  # a checkpoint of a thousand tensors has thirty thousand
UNKNOWN = "a name that is made up as it runs"
LEGACY, LEGACY_PICKLES = 0x1950A86A20F9469CFC6C, 5  # PyTorch's oldest files: this number is the first pickle of five


class NoPickleError(ValueError):
    """These bytes are no pickle, or no whole one, or one too long to look at."""

    def __init__(self, reason: object, found: "Pickle") -> None:
        super().__init__(str(reason).split("\n")[0][:200])
        self.found = found


@dataclass(frozen=True)
class Global:
    """A name that would be imported, `module.name`."""

    name: str


class Entries(list[Any]):
    """A dict on paper: its keys and values in turn, each as often as it is set."""


class Members(list[Any]):
    """A set on paper."""


@dataclass(frozen=True, eq=False)
class Call:
    """Something that would be called, with what: by `REDUCE`, `NEWOBJ`, or `BUILD` (an object's `__setstate__`).

    What is put into the result afterwards, as into a list or a dict, is in `items`; what it is given by `BUILD`, in `states`.
    Of a list that it is called with, the first `given` items were there already: others may be added later.
    """

    kind: str
    function: Any
    arguments: Any
    given: int = 0
    items: Entries = field(default_factory=Entries)
    states: list[Any] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Reference:
    """Something that lies outside of the pickle: with PyTorch, the numbers of a tensor."""

    identity: Any


@dataclass
class Pickle:
    """What a pickle would do: import `globals`, make `calls`, ask for `references`, and give `value`.

    Its dicts are `Entries` here and its sets `Members`. It ends at byte `end`, after `steps`.
    """

    globals: list[Global] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    references: list[Reference] = field(default_factory=list)
    value: Any = None
    end: int = 0
    steps: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names it would import, each once, in the order in which it comes to them."""
        return tuple(dict.fromkeys(item.name for item in self.globals))


def globals_of(stream: bytes) -> tuple[str, ...]:
    """The names that a pickle would import if it were loaded; where it breaks off, those up to there.

    >>> import pickle
    >>> globals_of(pickle.dumps({"weights": [1.0, 2.0]}))
    ()
    >>> globals_of(pickle.dumps(print))
    ('builtins.print',)
    """
    try:
        return look_at(BytesIO(stream)).names
    except NoPickleError as error:
        return error.found.names


def look_at(stream: BytesIO, most_steps: int = MOST_STEPS) -> Pickle:
    """What the pickle that begins here would do. It is read to its end and not loaded.

    Raises:
        NoPickleError: if it is no whole pickle, or longer than `most_steps`; `found` is what it would do up to there.
    """
    machine = _Machine()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in old strings
            for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
                machine.pickle.steps = step + 1
                if step >= most_steps:
                    raise ValueError(f"it has more than {most_steps} steps")
                machine.run(opcode.name, argument)
        machine.pickle.value = machine.stack.pop()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise NoPickleError(error, machine.pickle) from None
    machine.pickle.end = stream.tell()
    return machine.pickle


class _Machine:
    """The stack, the marks in it and the memo of a pickle that is run on paper."""

    def __init__(self) -> None:
        self.pickle = Pickle()
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:
        if name in _STEPS:
            _STEPS[name](self)
        elif name in _STEPS_WITH:
            _STEPS_WITH[name](self, argument)
        else:
            self.stack.append(argument)  # a number, a string, bytes

    def marked(self) -> list[Any]:
        """Everything above the last mark."""
        place = self.marks.pop()
        items = self.stack[place:]
        del self.stack[place:]
        return items

    def import_name(self, module: Any, name: Any) -> None:
        known = isinstance(module, str) and isinstance(name, str)
        found = Global(f"{module}.{name}" if known else UNKNOWN)
        self.pickle.globals.append(found)
        self.stack.append(found)

    def call(self, kind: str, function: Any, arguments: Any) -> None:
        last = arguments[-1] if isinstance(arguments, tuple) and arguments else ()
        made = Call(kind, function, arguments, len(last) if isinstance(last, list) else 0)
        self.pickle.calls.append(made)
        self.stack.append(made)

    def refer(self, identity: Any) -> None:
        made = Reference(identity)
        self.pickle.references.append(made)
        self.stack.append(made)


Step = Callable[[_Machine], None]
StepWith = Callable[[_Machine, Any], None]


def _tuple_of(count: int) -> Step:
    def run(machine: _Machine) -> None:
        place = len(machine.stack) - count
        if place < 0:
            raise ValueError("its stack is empty")
        machine.stack[place:] = [tuple(machine.stack[place:])]

    return run


def _adding(kind: type, marked: bool) -> Step:
    """Items for a list, a dict or a set; for any other object they are one more call."""

    def run(machine: _Machine) -> None:
        count = 2 if kind is Entries else 1
        items = machine.marked() if marked else [machine.stack.pop() for _ in range(count)][::-1]
        container = machine.stack[-1]
        if isinstance(container, list):
            if type(container) is not kind or len(items) % count:
                raise ValueError(f"it adds to a {type(container).__name__} as to a {kind.__name__}")
            container.extend(items)
            return
        machine.pickle.calls.append(Call("APPENDS", container, tuple(items)))
        if isinstance(container, Call):
            container.items.extend(items)

    return run


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.import_name(module, name)


def _stack_global(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.import_name(module, name)


def _inst(machine: _Machine, argument: str) -> None:
    arguments = tuple(machine.marked())
    _global(machine, argument)
    machine.call("INST", machine.stack.pop(), arguments)


def _obj(machine: _Machine) -> None:
    function, *arguments = machine.marked()
    machine.call("OBJ", function, tuple(arguments))


def _called(kind: str) -> Step:
    def run(machine: _Machine) -> None:
        arguments, function = machine.stack.pop(), machine.stack.pop()
        machine.call(kind, function, arguments)

    return run


def _newobj_ex(machine: _Machine) -> None:
    named, arguments, function = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    machine.call("NEWOBJ_EX", function, (arguments, named))


def _build(machine: _Machine) -> None:
    state, built = machine.stack.pop(), machine.stack[-1]
    machine.pickle.calls.append(Call("BUILD", built, state))
    if isinstance(built, Call):
        built.states.append(state)


def _pop(machine: _Machine) -> None:
    if machine.marks and machine.marks[-1] == len(machine.stack):
        machine.marks.pop()
    else:
        machine.stack.pop()


def _pop_mark(machine: _Machine) -> None:
    machine.marked()


def _memoise(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo) if argument is None else int(argument)] = machine.stack[-1]


def _push(value: Callable[[], Any]) -> Step:
    return lambda machine: machine.stack.append(value())


def _nothing(_: _Machine) -> None:
    """Steps that say something of the file only."""


_STEPS: dict[str, Step] = {
    "MARK": lambda machine: machine.marks.append(len(machine.stack)),
    "POP": _pop,
    "POP_MARK": _pop_mark,
    "DUP": lambda machine: machine.stack.append(machine.stack[-1]),
    "NONE": _push(lambda: None),
    "NEWTRUE": _push(lambda: True),
    "NEWFALSE": _push(lambda: False),
    "EMPTY_TUPLE": _push(tuple),
    "EMPTY_DICT": _push(Entries),
    "DICT": lambda machine: machine.stack.append(Entries(machine.marked())),
    "EMPTY_SET": _push(Members),
    "FROZENSET": lambda machine: machine.stack.append(Members(machine.marked())),
    "EMPTY_LIST": _push(list),
    "LIST": lambda machine: machine.stack.append(machine.marked()),
    "TUPLE": lambda machine: machine.stack.append(tuple(machine.marked())),
    **{f"TUPLE{count}": _tuple_of(count) for count in (1, 2, 3)},
    "APPEND": _adding(list, marked=False),
    "APPENDS": _adding(list, marked=True),
    "SETITEM": _adding(Entries, marked=False),
    "SETITEMS": _adding(Entries, marked=True),
    "ADDITEMS": _adding(Members, marked=True),
    "STACK_GLOBAL": _stack_global,
    "OBJ": _obj,
    "NEWOBJ": _called("NEWOBJ"),
    "NEWOBJ_EX": _newobj_ex,
    "REDUCE": _called("REDUCE"),
    "BUILD": _build,
    "BINPERSID": lambda machine: machine.refer(machine.stack.pop()),
    "NEXT_BUFFER": lambda machine: machine.refer("a buffer beside the pickle"),
    **dict.fromkeys(("PROTO", "FRAME", "STOP", "READONLY_BUFFER"), _nothing),
}
_STEPS_WITH: dict[str, StepWith] = {
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _memoise),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"), lambda machine, argument: machine.stack.append(machine.memo[int(argument)])
    ),
    "GLOBAL": _global,
    **dict.fromkeys(
        ("EXT1", "EXT2", "EXT4"), lambda machine, argument: machine.import_name("extension registry", str(argument))
    ),
    "INST": _inst,
    "PERSID": lambda machine, argument: machine.refer(argument),
}
