"""DVC's command line, which reads dvc.lock faster before it writes it.

    python -m anonrep.pipeline.dvc repro --single-item results@pendigits

Before DVC adds a stage to dvc.lock, it reads the file with a parser that keeps comments, which is not the compiled one:
for the full setting that is half of what DVC takes for a stage. Nobody writes comments into dvc.lock. With the compiled
parser the same bytes are written (`tests/test_repro.py`).
"""

import sys

from dvc.cli import main
from dvc.utils.serialize import _yaml

_yaml.parse_yaml_for_update = _yaml.parse_yaml

if __name__ == "__main__":
    sys.exit(main())
