"""How FERG-DB is laid out: who and what is in it, how large its images are, how their files are named."""

import re

CHARACTERS = ("aia", "bonnie", "jules", "malcolm", "mery", "ray")
EXPRESSIONS = ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
SIZE = 256  # pixels a side, in colour
NAME = re.compile(rf"({'|'.join(CHARACTERS)})_({'|'.join(EXPRESSIONS)})_([0-9]{{1,4}})\.png")
SHOWN = 100  # problems that an error spells out


def place_of(name: str) -> tuple[int, int, int] | None:
    """Character, expression and frame of a path, if it is named as it should be."""
    *above, character, folder, file = ("", "", *name.split("/"))
    match = NAME.fullmatch(file)
    if not match or (character, folder) != (match[1], f"{match[1]}_{match[2]}"):
        return None
    if "\\" in name or {"..", ""} & set(above[2:]):  # a path that leads out of the folder, or pretends to
        return None
    return CHARACTERS.index(match[1]), EXPRESSIONS.index(match[2]), int(match[3])


def name_of(place: tuple[int, int, int]) -> str:
    return f"{CHARACTERS[place[0]]}_{EXPRESSIONS[place[1]]}_{place[2]}.png"
