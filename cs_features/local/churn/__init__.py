"""The example of docs/training.md: simulated customers who write and leave, and models that foresee it."""
