"""What the notebooks call: train, assess, certify, gather results."""
