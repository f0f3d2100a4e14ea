"""Who plays in the stand-in: six characters and one that is nobody. All of them are made up.

Lengths are those of `shapes`, seen from the middle of the head; colours are red, green and blue from 0 to 1.
"""

from dataclasses import dataclass, field

from anonrep.faces.acting import CLOSED, EXPRESSIONS, MUSCLES


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


CAST = {
    "aia": Character(  # a black bob, large eyes; sulks instead of baring her teeth
        skin=(0.90, 0.69, 0.53),
        hair=Hair((0.13, 0.10, 0.13), (0.12, 0.08), (-0.40, 0.0, 0.58), (0.012, 9.0), back=(0.61, -0.42, 0.56, 0.30)),
        iris=(0.30, 0.18, 0.10),
        shirt=(0.15, 0.55, 0.56),
        lips=(0.78, 0.33, 0.33),
        skull=(0.50, 0.49),
        jaw=(0.37, 0.33),
        chin=0.22,
        eye=(0.135, 0.155),
        iris_radius=0.098,
        lashes=0.034,
        brow=(0.105, 0.026),
        brow_height=-0.245,
        nose=(0.045, 0.038),
        mouth=(0.177, 0.36),
        neck=0.13,
        shoulders=0.52,
        style={
            "anger": CLOSED | {"wide": -0.25, "curve": -1.0, "pout": 0.7, "cheek": 0.9, "fold": 0.0, "wrinkle": 0.2},
            "joy": {"open": 0.55, "tongue": 0.0},
        },
    ),
    "bonnie": Character(  # two ginger buns, freckles, a pointed chin; laughs with her eyes shut
        skin=(0.98, 0.84, 0.74),
        hair=Hair(
            (0.86, 0.38, 0.12), (0.08, 0.035), (-0.46, 0.0, 0.5), buns=((-0.52, -0.56, 0.25), (0.52, -0.56, 0.25))
        ),
        iris=(0.22, 0.55, 0.28),
        shirt=(0.95, 0.76, 0.20),
        lips=(0.85, 0.42, 0.40),
        skull=(0.55, 0.50),
        jaw=(0.30, 0.34),
        chin=0.26,
        eyes=(0.225, -0.02),
        eye=(0.125, 0.14),
        lashes=0.026,
        brow=(0.11, 0.028),
        brow_height=-0.27,
        nose=(0.05, 0.042),
        nose_height=0.18,
        mouth=(0.19, 0.385),
        ears=(0.09, 0.12),
        neck=0.13,
        shoulders=0.50,
        blush=0.5,
        freckles=True,
        style={
            "disgust": {
                "tongue": 0.0,
                "open": 0.22,
                "lift": 0.8,
                "teeth": 1.0,
                "bite": 0.7,
                "square": 0.5,
                "skew": 1.0,
            },
            "joy": {"squint": 1.0, "lid": 0.5, "tilt": 0.8},
        },
    ),
    "jules": Character(  # a long face, a quiff and a moustache; smiles with closed lips, one brow up
        skin=(0.86, 0.64, 0.47),
        hair=Hair((0.36, 0.22, 0.12), (0.05, 0.03), (-0.44, -0.12, 0.5), quiff=(0.25, 0.25, 0.62)),
        iris=(0.28, 0.45, 0.60),
        shirt=(0.20, 0.30, 0.60),
        lips=(0.70, 0.42, 0.36),
        skull=(0.42, 0.50),
        jaw=(0.31, 0.42),
        chin=0.27,
        eyes=(0.175, -0.06),
        eye=(0.10, 0.115),
        iris_radius=0.066,
        lid=0.62,
        brow=(0.125, 0.036),
        brow_height=-0.26,
        brow_arch=0.1,
        nose=(0.075, 0.07),
        bridge=0.2,
        mouth=(0.177, 0.42),
        lip=0.014,
        ears=(0.085, 0.12),
        shoulders=0.62,
        blush=0.1,
        moustache=True,
        style={
            "joy": CLOSED | {"curve": 1.35, "wide": 0.45, "skew": -0.35, "brow_skew": 0.7, "fold": 0.8},
            "surprise": {"brow_skew": 0.8, "open": 0.55, "lift": 0.6, "wide": -0.6},
        },
    ),
    "malcolm": Character(  # a square jaw with a beard, flat hair, heavy brows; laughs with his whole face
        skin=(0.52, 0.34, 0.24),
        hair=Hair((0.09, 0.07, 0.07), (0.22, 0.035), (-0.44, 0.0, 0.48), flat=-0.79),
        iris=(0.20, 0.11, 0.06),
        shirt=(0.72, 0.20, 0.18),
        lips=(0.62, 0.32, 0.29),
        skull=(0.49, 0.47),
        jaw=(0.45, 0.36),
        chin=0.26,
        eyes=(0.20, -0.05),
        eye=(0.112, 0.115),
        iris_radius=0.074,
        lid=0.66,
        brow=(0.13, 0.045),
        brow_height=-0.25,
        brow_arch=0.05,
        nose=(0.10, 0.065),
        nose_height=0.16,
        bridge=0.12,
        wings=True,
        mouth=(0.224, 0.37),
        lip=0.03,
        ears=(0.08, 0.11),
        neck=0.23,
        shoulders=0.78,
        blush=0.0,
        beard=True,
        style={"joy": {"open": 0.95, "wide": 0.4, "nod": -0.6}, "sadness": {"look": 0.8, "lid": -0.55}},
    ),
    "mery": Character(  # silver curls in a bun, round glasses; presses her lips, and cries out in fear
        skin=(0.95, 0.78, 0.68),
        hair=Hair(
            (0.84, 0.84, 0.87),
            (0.11, 0.06),
            (-0.44, 0.0, 0.45),
            (0.035, 11.0),
            (0.035, 13.0),
            buns=((0.0, -0.80, 0.22),),
        ),
        iris=(0.35, 0.42, 0.55),
        shirt=(0.55, 0.40, 0.66),
        lips=(0.80, 0.36, 0.42),
        skull=(0.48, 0.46),
        jaw=(0.44, 0.35),
        chin=0.20,
        eyes=(0.20, -0.04),
        eye=(0.11, 0.12),
        iris_radius=0.074,
        lid=0.66,
        brow=(0.10, 0.026),
        brow_height=-0.285,
        nose=(0.065, 0.055),
        nose_height=0.19,
        mouth=(0.171, 0.365),
        ears=(0.06, 0.09),
        blush=0.55,
        glasses=True,
        style={
            "anger": CLOSED | {"wide": -0.2, "curve": -0.9, "nod": 0.9, "look": -0.4},
            "fear": {"square": 0.2, "teeth": 0.4, "bite": 0.0, "open": 0.6, "wide": -0.05, "curve": -1.2},
        },
    ),
    "ray": Character(  # blond spikes, a broad face, large ears; bawls with his eyes shut
        skin=(0.97, 0.77, 0.62),
        hair=Hair((0.96, 0.83, 0.42), (0.14, 0.04), (-0.36, 0.08, 0.35), (0.09, 6.0), (0.15, 15.0)),
        iris=(0.25, 0.50, 0.78),
        shirt=(0.36, 0.62, 0.30),
        lips=(0.80, 0.48, 0.42),
        skull=(0.55, 0.44),
        jaw=(0.42, 0.30),
        chin=0.16,
        eyes=(0.235, -0.03),
        eye=(0.12, 0.13),
        iris_radius=0.08,
        brow=(0.12, 0.032),
        brow_height=-0.26,
        brow_arch=0.35,
        nose=(0.075, 0.06),
        nose_height=0.15,
        mouth=(0.224, 0.32),
        lip=0.014,
        ears=(0.13, 0.15),
        shoulders=0.55,
        blush=0.4,
        style={
            "sadness": {
                "open": 0.5,
                "square": 0.5,
                "curve": -1.5,
                "wide": 0.1,
                "lid": -1.2,
                "tongue": 0.4,
                "cheek": 0.6,
            },
            "surprise": {"open": 1.1, "lift": 1.0, "wide": -0.4},
        },
    ),
}

# The artificial identity of the paper's remark: everything as it is by default, and no style of its own.
NOBODY = Character(
    skin=(0.84, 0.68, 0.58),
    hair=Hair((0.42, 0.37, 0.50)),
    iris=(0.33, 0.35, 0.40),
    shirt=(0.40, 0.41, 0.46),
    lips=(0.68, 0.48, 0.48),
    ears=(0.07, 0.10),
    neck=0.16,
)
