"""Types of options that argparse does not have: what cannot be meant is refused with the option's name."""

import argparse

LARGEST = 1_000_000


def parse_positive_number(text: str) -> int:
    """A whole number from 1 on, and none that is larger than anybody means."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= LARGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {LARGEST}")
    return number
