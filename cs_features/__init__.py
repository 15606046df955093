"""Customer-service interactions to structured features, as Dagster assets.

Importing this package starts nothing and reads no setting; `definitions.py` does the wiring.
"""
