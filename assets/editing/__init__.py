"""Unlearning and editing: the stages, the roles paragraphs play in them, and the command that saves a checkpoint."""
