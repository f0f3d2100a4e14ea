"""Where everything lies, relative to the project's root: the one place that knows."""

from pathlib import Path

PROCESSED, MODELS, BUILD, REPORTS = Path("data/processed"), Path("models"), Path("build"), Path("reports")


def data_file(data: str, split: str) -> Path:
    """A data set at one split, a `Dataset`."""
    return PROCESSED / data / f"{split}.npz"


def artificial_file(data: str) -> Path:
    """The images of a person who does not exist, where a data set has one."""
    return PROCESSED / data / "artificial.npz"


def controls_folder(data: str, split: str) -> Path:
    """What attackers find in raw images, and the readers trained on raw images."""
    return MODELS / "controls" / data / split


def start_folder(game: str) -> Path:
    """Phases (i) and (ii) of a game of params.yaml, for every seed."""
    return MODELS / "start" / game


def release_folder(release: str) -> Path:
    """What makes a release of params.yaml, and the released images; `releases.json` lists them."""
    return MODELS / "releases" / release


def assessment_file(release: str) -> Path:
    """The rows of all judges on a release."""
    return BUILD / "assess" / f"{release}.json"


def threat_models_file(data: str) -> Path:
    """The rows of attackers who know less."""
    return BUILD / "threat_models" / f"{data}.json"


def metrics_folder(data: str) -> Path:
    """All rows of a data set, as committed."""
    return REPORTS / "metrics" / data


def figures_folder(data: str) -> Path:
    """A data set's figures, as committed."""
    return REPORTS / "figures" / data
