"""Expressions in an exported program: sizes such as `s0 // 2 + 1`, which PyTorch's loader evaluates as code.

Nothing here needs them. They are looked at for what else they might be: a file with code in them was made to harm.
"""

import re
from typing import Any

Json = dict[str, Any]

# What PyTorch writes: functions of sizes, what it says of a symbol, and how it asks an input for its size.
_KNOWN = """
    Symbol Integer Float Rational Add Mul Pow Max Min Abs Mod PythonMod FloorDiv CeilDiv CleanDiv ModularIndexing Where
    Piecewise ExprCondPair Eq Ne Equality Unequality Lt Le Gt Ge StrictLessThan LessThan StrictGreaterThan GreaterThan And Or
    Not Identity IntTrueDiv FloatTrueDiv FloatPow PowByNatural TruncToInt TruncToFloat ToFloat RoundToInt RoundDecimal
    CeilToInt FloorToInt LShift RShift IsNonOverlappingAndDenseIndicator floor ceiling ceil sqrt Half One Zero NegativeOne
    BooleanTrue BooleanFalse BooleanAtom int_oo oo true false True False None precision evaluate
    commutative complex extended_negative extended_nonnegative extended_nonpositive extended_nonzero extended_positive
    extended_real finite hermitian imaginary infinite integer irrational negative noninteger nonnegative nonpositive nonzero
    odd even positive prime rational real zero L args kwargs size stride storage_offset and or not
"""
KNOWN = frozenset(re.findall(r"\w+", _KNOWN))
SYMBOL = re.compile(r"_?[a-z]{1,4}_?\d+")
QUOTED = re.compile(r"'[\w.]*'|\"[\w.]*\"", re.ASCII)
WORD = re.compile(r"[^\W\d]\w*")
PLAIN = re.compile(r"[\w\s+\-*/%(),.'\"\[\]=<>&|~!]*", re.ASCII)


def code_in(program: Json) -> list[str]:
    """The expressions and guards of a program that are more than arithmetic on sizes.

    >>> code_in({"a": [{"expr_str": "Symbol('s31', positive=True) // 2 + 1"}, {"expr_str": "Max(1, s0*s1)"}]})
    []
    >>> code_in({"expr_str": "open('/etc/passwd')"})
    ["open('/etc/passwd')"]
    """
    return [text for text in _expressions(program) if not is_arithmetic(text)]


def is_arithmetic(text: str) -> bool:
    """Whether an expression is made of numbers, symbols, and the functions that PyTorch writes."""
    words = WORD.findall(QUOTED.sub("", text))
    return bool(PLAIN.fullmatch(text)) and all(word in KNOWN or SYMBOL.fullmatch(word) for word in words)


def _expressions(program: Json) -> list[str]:
    found = [str(guard) for guard in program.get("guards_code") or ()]
    waiting: list[Any] = [program]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            found += [str(item["expr_str"])] if "expr_str" in item else []
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found
