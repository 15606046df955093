"""The extraction engine: prompts, requests, answers and their price. Knows no Dagster."""
