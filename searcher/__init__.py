"""Search and training: from a task to a genotype, and from a genotype to weights."""
