"""Parameters, notebooks as stages, the runner, working copies."""
