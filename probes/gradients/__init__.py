"""Gradients of the continuation's NLL with respect to parameters and activations."""
