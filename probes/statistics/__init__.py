"""Statistics shared by all measurements: clusters, token types, rank correlation."""
