"""A trained model applied to somebody's images, its audit and its privacy card."""
