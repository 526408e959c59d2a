"""Unlearning and editing of chosen weights, with a score card that can fail (P1 section 5.3, without its defects)."""
