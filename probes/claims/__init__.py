"""Claims of the papers as rules over measured tables, each with its verdict."""
