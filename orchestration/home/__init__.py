"""The home over time: moving it, its examination by `rarecall doctor`, the history of runs."""
