"""One `rarecall run`: the order of the flow, the runner, checkpoints side by side, progress, failures."""
