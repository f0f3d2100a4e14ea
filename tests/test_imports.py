"""Imports inside the library point one way: the table of CONTRIBUTING.md, held over the syntax trees."""

import ast
from pathlib import Path

import anonrep

ALLOWED = {
    "__init__": set(),
    # ground floor
    "files": set(),
    "weights": {"files"},
    "seeds": set(),
    "dataset": {"files"},
    "intervals": set(),
    # the data
    "unipen": set(),
    "pendigits": {"dataset", "seeds", "unipen"},
    "standin": {"seeds", "unipen"},
    "sources": {"standin"},
    "ferg_format": set(),
    "ferg_files": set(),
    "ferg_images": {"ferg_files", "ferg_format"},
    "ferg_attributes": {"ferg_files", "ferg_format"},
    "ferg_reader": {"ferg_attributes", "ferg_files", "ferg_format", "ferg_images"},
    "ferg": {"dataset", "ferg_format", "ferg_reader", "seeds"},
    "faces": set(),
    "ferg_standin": {"dataset", "faces", "ferg", "ferg_attributes", "ferg_format", "ferg_images", "files", "seeds"},
    "ferg_sources": {"ferg", "ferg_standin"},
    # the paper
    "losses": set(),
    "networks": {"seeds"},
    "game": set(),
    "images": set(),
    "gradients": set(),
    "precision": set(),
    "pretraining": {"game", "images", "precision", "seeds"},
    "turns": {"losses", "game", "images", "networks", "precision"},
    "training": {"game", "dataset", "images", "networks", "pretraining", "seeds", "turns"},
    # what the method is compared with
    "codebook": {"dataset", "seeds", "files"},
    "perturbations": {"codebook", "dataset", "seeds"},
    "adversaries": {
        "losses",
        "game",
        "dataset",
        "images",
        "networks",
        "precision",
        "pretraining",
        "seeds",
        "training",
        "turns",
    },
    # the finite release
    "code_encoder": {
        "codebook",
        "dataset",
        "files",
        "gradients",
        "images",
        "networks",
        "pretraining",
        "seeds",
        "weights",
    },
    "views": {"dataset", "images", "networks", "pretraining"},
    "content": {"dataset", "gradients", "images", "seeds", "views"},
    "finite": {"code_encoder", "dataset", "losses", "networks", "precision", "seeds", "views"},
    # what a release is worth
    "network_attacker": {"images", "networks", "precision", "seeds", "weights"},
    "attackers": {"network_attacker", "seeds"},
    "code_table": set(),
    "divergence": {"code_table"},
    "certificate": {"code_table", "divergence"},
    "information": set(),
    "assessment": {"attackers", "code_table", "dataset", "information", "intervals", "seeds"},
    "naturalness": {"assessment", "attackers", "dataset", "network_attacker"},
    "kept": {"dataset", "attackers", "assessment", "seeds"},
    "frontier": {
        "assessment",
        "attackers",
        "certificate",
        "code_table",
        "codebook",
        "dataset",
        "kept",
        "network_attacker",
        "seeds",
    },
    # what the notebooks call
    "checkpoints": {"networks", "files", "weights"},
    "experiment": {
        "dataset",
        "game",
        "networks",
        "training",
        "attackers",
        "assessment",
        "naturalness",
        "network_attacker",
        "checkpoints",
        "files",
        "pretraining",
    },
    "results": {"codebook", "dataset", "files"},
    "experiment_finite": {
        "checkpoints",
        "code_encoder",
        "codebook",
        "dataset",
        "experiment",
        "files",
        "finite",
        "frontier",
        "network_attacker",
        "networks",
        "pretraining",
        "results",
    },
    "experiment_audit": {
        "adversaries",
        "assessment",
        "attackers",
        "checkpoints",
        "dataset",
        "experiment",
        "files",
        "naturalness",
        "network_attacker",
        "perturbations",
        "pretraining",
        "results_audit",
        "seeds",
    },
    "assessment_ferg": {
        "assessment",
        "attackers",
        "codebook",
        "dataset",
        "experiment",
        "files",
        "intervals",
        "network_attacker",
        "results_ferg",
    },
    "experiment_ferg": {
        "certificate",
        "checkpoints",
        "code_encoder",
        "code_table",
        "codebook",
        "content",
        "dataset",
        "experiment",
        "files",
        "finite",
        "game",
        "pretraining",
        "seeds",
        "training",
    },
    "results_ferg": {"files", "results"},
    "plots_ferg": {"dataset", "ferg_format", "plots", "results_ferg"},
    "report_ferg": {
        "codebook",
        "dataset",
        "elements",
        "ferg_format",
        "files",
        "plots",
        "plots_ferg",
        "results",
        "results_ferg",
    },
    "results_audit": {"dataset", "files", "results"},
    "elements": set(),
    "plots": {"dataset", "files"},
    "plots_finite": {"plots"},
    "plots_audit": {"plots"},
    "report_finite": {"codebook", "dataset", "plots_finite", "results"},
    "report_audit": {"elements", "information", "plots_audit", "results", "results_audit"},
    "report": {"dataset", "files", "plots", "project", "results"},
    "report_departures": {"attackers", "files", "results"},
    # the explorer
    "explore_data": {"dataset", "files"},
    "explore_run": {
        "checkpoints",
        "code_encoder",
        "codebook",
        "dataset",
        "explore_data",
        "images",
        "pendigits",
        "pretraining",
        "unipen",
    },
    "explore_html": {"elements", "explore_data", "explore_run", "plots", "results"},
    "explore": {"explore_data", "explore_html", "explore_run", "plots"},
    "explore_faces_data": {
        "codebook",
        "dataset",
        "explore_data",
        "ferg_format",
        "files",
        "report_ferg",
        "results_ferg",
    },
    "explore_faces": {
        "codebook",
        "dataset",
        "elements",
        "explore",
        "explore_data",
        "explore_faces_data",
        "explore_html",
        "ferg_format",
        "plots",
        "plots_ferg",
        "report_ferg",
        "results",
        "results_ferg",
    },
    # your own images
    "image_reader": set(),
    "folder_reader": {"files", "image_reader"},
    "image_folder": {"dataset", "folder_reader", "image_reader", "seeds"},
    "privacy_card": {"files", "results"},
    "anonymiser": {"checkpoints", "code_encoder", "codebook", "experiment", "files", "pretraining"},
    "release": {"anonymiser", "files", "folder_reader", "image_reader", "privacy_card"},
    "model_audit": {
        "anonymiser",
        "assessment",
        "attackers",
        "certificate",
        "code_table",
        "dataset",
        "experiment",
        "files",
        "intervals",
        "kept",
        "privacy_card",
        "seeds",
    },
    "own_images": {
        "anonymiser",
        "attackers",
        "dataset",
        "experiment",
        "experiment_finite",
        "files",
        "finite",
        "folder_reader",
        "game",
        "image_reader",
        "pendigits",
        "plots",
        "release",
        "standin",
        "unipen",
    },
    # the pipeline's tools
    "project": set(),
    "parameters": set(),
    "html": {"files"},
    "notebook": {"files", "html", "parameters", "project"},
    "workspace": {"checks", "files", "project"},
    "resume": {"files", "project"},
    "repro": {"project", "resume"},
    "checks": {"parameters"},
    "schema": {
        "adversaries",
        "attackers",
        "checks",
        "elements",
        "ferg",
        "ferg_format",
        "ferg_sources",
        "finite",
        "game",
        "pendigits",
        "perturbations",
        "project",
        "sources",
    },
}


def imports(path: Path) -> set[str]:
    """Modules of anonrep that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively: write `from anonrep...`"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name.startswith("anonrep.")}
    return found


def test_every_module_imports_what_the_table_allows():
    library = Path(anonrep.__file__).parent
    modules = {path.relative_to(library).parts[0].removesuffix(".py"): path for path in library.rglob("*.py")}
    assert set(modules) <= set(ALLOWED), "add the new module to ALLOWED and to the picture in CONTRIBUTING.md"
    for path in library.rglob("*.py"):
        module = path.relative_to(library).parts[0].removesuffix(".py")
        extra = imports(path) - ALLOWED[module] - {module}
        assert not extra, f"{module} imports {sorted(extra)}; the table allows {sorted(ALLOWED[module])}"


def test_the_table_has_no_circle():
    done: set[str] = set()
    while ready := {name for name, needs in ALLOWED.items() if name not in done and needs <= done}:
        done |= ready
    assert done == set(ALLOWED)
