"""Checkpoints on disk: what their files hold, and loading them safely."""
