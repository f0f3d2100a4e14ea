"""The stand-in's faces: who plays (`cast`), what they are drawn with (`shapes`), and the drawing itself."""
