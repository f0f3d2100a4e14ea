"""What a character is: colours, lengths, hair, and its own way with each expression.

Lengths are those of `shapes`, seen from the middle of the head; colours are red, green and blue from 0 to 1.
"""

from dataclasses import dataclass, field

from anonrep.data.synthetic.faces.acting import EXPRESSIONS, MUSCLES


@dataclass(frozen=True)
class Hair:
    """A cap over the skull, thick at the crown and thin at the sides, and what is added to it.

    line    its edge on the forehead: height, lean, how far it comes down at the sides
    wave    teeth of that edge: depth, number for each unit of length
    spikes  teeth of the outline: depth, number around
    quiff   a bump of the outline: height, direction in radians from the crown, width in radians
    flat    y of a straight cut above; -2 cuts nothing
    back    the hair behind the head: half-width, top, bottom, roundness; nothing if empty
    buns    discs: x, y, radius each
    """

    colour: tuple
    cap: tuple = (0.07, 0.03)
    line: tuple = (-0.45, 0.0, 0.45)
    wave: tuple = (0.0, 1.0)
    spikes: tuple = (0.0, 1.0)
    quiff: tuple = (0.0, 0.0, 1.0)
    flat: float = -2.0
    back: tuple = ()
    buns: tuple = ()


@dataclass(frozen=True)
class Character:
    """One character: colours, shapes, and what is different in `style` about each expression.

    Pairs are half-axes, or a distance from the middle line and a height, or a length and a thickness.
    """

    skin: tuple
    hair: Hair
    iris: tuple
    shirt: tuple
    lips: tuple
    skull: tuple = (0.50, 0.50)
    jaw: tuple = (0.36, 0.36)
    chin: float = 0.24  # y of the jaw's centre
    eyes: tuple = (0.205, -0.04)  # where they are
    eye: tuple = (0.125, 0.145)  # how large
    iris_radius: float = 0.085
    lid: float = 0.70  # how far the eye is open at rest
    lashes: float = 0.022
    brow: tuple = (0.12, 0.026)
    brow_height: float = -0.28
    brow_arch: float = 0.25
    nose: tuple = (0.06, 0.05)
    nose_height: float = 0.17
    bridge: float = 0.0  # length of the nose's ridge
    wings: bool = False  # a broad nose
    mouth: tuple = (0.20, 0.36)  # half its width, its height
    lip: float = 0.022
    ears: tuple = ()
    neck: float = 0.15
    shoulders: float = 0.60
    blush: float = 0.3
    freckles: bool = False
    beard: bool = False
    moustache: bool = False
    glasses: bool = False
    style: dict[str, dict[str, float]] = field(default_factory=dict)

    def face(self, expression: str) -> dict[str, float]:
        """What each muscle does at the height of the expression, this character's way."""
        return dict.fromkeys(MUSCLES, 0.0) | EXPRESSIONS[expression] | self.style.get(expression, {})
