"""Perturbation of prefix tokens: the plan, the policies, the sweep that reuses key/value caches."""
