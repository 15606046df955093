"""The feature store: what the group is, what is written to it and withdrawn from it, and how its features are read."""
