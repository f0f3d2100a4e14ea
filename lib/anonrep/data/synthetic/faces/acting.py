"""Expressions as what the muscles of a face do."""

MUSCLES = {  # what 1 does; 0 is the face at rest, and most of them have an opposite below 0
    "brow_up": "both brows are raised",
    "brow_in": "their inner ends go up, their outer ends down",
    "brow_close": "they are drawn together",
    "brow_skew": "one goes up and the other down",
    "lid": "eyes wide open",
    "squint": "the lower lids are pushed up",
    "slant": "the upper lids lean inwards",
    "iris": "large irises",
    "look": "eyes cast down",
    "open": "the lower lip and the jaw go down",
    "lift": "the upper lip goes up",
    "wide": "a wide mouth",
    "curve": "its corners go up",
    "skew": "it is drawn to one side",
    "square": "its corners are angular",
    "teeth": "upper teeth",
    "bite": "lower teeth against the upper ones",
    "tongue": "the tongue is put out",
    "pout": "the lower lip swells",
    "wrinkle": "a wrinkled nose",
    "fold": "folds from the nose to the mouth",
    "cheek": "round, red cheeks",
    "nod": "the head goes down",
    "tilt": "it leans to one side",
    "shrug": "the shoulders go up",
}

EXPRESSIONS: dict[str, dict[str, float]] = {
    "anger": {"brow_up": -0.8, "brow_in": -1.0, "brow_close": 0.8, "lid": -0.05, "squint": 0.2, "slant": 0.9}
    | {"open": 0.42, "lift": 0.75, "wide": 0.15, "curve": -0.7, "square": 0.9, "teeth": 1.0, "bite": 1.0}
    | {"iris": -0.1, "wrinkle": 0.5, "fold": 0.5, "nod": 0.35, "shrug": 0.3},
    "disgust": {"brow_up": -0.4, "brow_in": -0.35, "brow_close": 0.5, "brow_skew": 0.6, "lid": -0.35, "squint": 0.45}
    | {"open": 0.4, "lift": 0.25, "wide": -0.05, "curve": -0.6, "skew": 0.9, "tongue": 1.0, "wrinkle": 1.0}
    | {"slant": 0.2, "fold": 0.9, "cheek": 0.3, "nod": -0.3, "tilt": 0.5},
    "fear": {"brow_up": 0.65, "brow_in": 1.0, "brow_close": 0.5, "lid": 0.75, "slant": -0.25, "iris": -0.4}
    | {"open": 0.45, "lift": 0.3, "wide": 0.35, "curve": -0.75, "square": 0.9, "teeth": 0.9, "bite": 0.9}
    | {"nod": 0.1, "shrug": 1.0},
    "joy": {"brow_up": 0.5, "brow_in": 0.05, "lid": 0.45, "squint": 0.62, "open": 0.8, "lift": 0.1, "wide": 0.55}
    | {"curve": 1.0, "teeth": 1.0, "tongue": 0.4, "fold": 0.4, "cheek": 1.0, "nod": -0.2, "tilt": 0.3},
    "neutral": {},
    "sadness": {"brow_up": 0.15, "brow_in": 1.1, "brow_close": 0.3, "lid": -0.42, "slant": -0.9, "look": 0.55}
    | {"wide": -0.1, "curve": -1.3, "pout": 0.9, "nod": 0.6, "tilt": -0.5, "shrug": -0.5},
    "surprise": {"brow_up": 1.15, "brow_in": 0.1, "lid": 0.85, "iris": -0.15, "open": 0.8, "lift": 0.9, "wide": -0.5}
    | {"nod": -0.35, "shrug": 0.2},
}

CLOSED = {"open": 0.0, "lift": 0.0, "teeth": 0.0, "bite": 0.0, "tongue": 0.0, "square": 0.0}  # lips on each other
