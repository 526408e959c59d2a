"""The forward pass in pieces: batches, inputs, unembedding in tiles, fused kernels, captured activations."""
