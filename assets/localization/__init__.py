"""Assets that say where recital lives: attention, perturbations, gradients, patching, interventions."""
