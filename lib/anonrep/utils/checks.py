"""The fields of a dataclass of settings: wrong ones are named, all of them at once."""

import math
from dataclasses import fields
from typing import get_args, get_origin


def check_fields(settings: object, **bounds: tuple[float, ...]) -> None:
    """Raise ValueError, with all that is wrong, unless every field of `settings` has its type and is within its bounds.

    bounds  the least and, where there is one, the greatest value of a number; the least is 0 where nothing is given

    Fields are whole numbers (int), numbers (float), flags (bool), words (Literal) or tuples of whole numbers from 1.
    """
    wrong = []
    for field in fields(settings):
        kind, value = field.type, getattr(settings, field.name)
        if kind in (int, float):
            least, most = (*bounds.get(field.name, (0,)), math.inf)[:2]
            fits = type(value) in (int, kind) and least <= value <= most and value != math.inf
            expected = f"a {'whole ' * (kind is int)}number from {least}" + f" to {most}" * (most < math.inf)
        elif get_origin(kind) is tuple:
            length = len(get_args(kind))
            fits = isinstance(value, tuple) and len(value) == length and all(type(n) is int and n > 0 for n in value)
            expected = f"{length} whole numbers from 1"
        else:
            words = (False, True) if kind is bool else get_args(kind)
            fits = type(value) in map(type, words) and value in words
            expected = f"one of {', '.join(map(str, words))}"
        if not fits:
            wrong.append(f"{field.name} is {value!r}; expected {expected}")
    if wrong:
        raise ValueError("\n".join(wrong))
