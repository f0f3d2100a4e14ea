"""Files, weights, seeds, images, precision: what every other room stands on."""
