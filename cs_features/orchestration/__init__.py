"""Everything that imports Dagster: the assets of the flow, checks, jobs, sensors, and what they are made of.

Thin shells: they gather inputs, call a module of another folder that decides, and report. No rule about
documents, answers or features stands here. This file imports nothing, so that importing one part costs no other.
"""
