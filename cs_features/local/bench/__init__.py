"""`make bench`: the figures the project promises, measured on this machine against the scripted endpoint.

One module a theme, and what they share: `figures.py`, `endpoint.py`, `children.py`, `client.py`.
"""
