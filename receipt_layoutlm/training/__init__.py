"""One training run: configuration, loop, callbacks that record, checkpoints that survive."""
