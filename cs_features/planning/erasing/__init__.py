"""Erasing one person from everything that is stored: `contents` says what is left of an object, `places` walks them,
`eraser` does it in an order that can be killed anywhere, `leftovers` names what it cannot reach.
"""
