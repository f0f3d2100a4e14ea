"""The synthetic faces: what makes a `character`, who plays (`cast`), the `shapes` they consist of, and the drawing."""
