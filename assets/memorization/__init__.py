"""Assets that say what a checkpoint recites: scores, generations, extractability, recital after other text."""
