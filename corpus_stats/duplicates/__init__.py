"""Near duplicates: MinHash signatures, candidates, verified clusters."""
