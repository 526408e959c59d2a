"""The effect of token rarity on recital: panel, estimates, power, summaries."""
