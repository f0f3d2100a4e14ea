"""From raw files to a `Dataset`: one module a data set, strict readers, downloads."""
