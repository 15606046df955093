"""The asset checks, one file a subject; those that block stand between the gate and the store.

A new check is one function under `register_check` in the file of its subject, with limit, meaning and advice.
What is checked is decided in the modules that it calls. A check that crashes raises: that is an error of the
check and must not look like bad data.
"""

from cs_features.orchestration.checks import (
    attacks,
    conservation,
    customers,
    erased,
    extraction,
    features,
    freshness,
    inventory,
    ownership,
    quality,
)
from cs_features.orchestration.checks.registry import (
    ADVICE,
    advice_of,
    build_check_steps,
    find_meaning,
    find_rule,
    is_check_step,
    list_check_keys,
)

CHECKS = build_check_steps()

__all__ = [
    "ADVICE",
    "CHECKS",
    "advice_of",
    "attacks",
    "conservation",
    "customers",
    "erased",
    "extraction",
    "features",
    "find_meaning",
    "find_rule",
    "freshness",
    "inventory",
    "is_check_step",
    "list_check_keys",
    "ownership",
    "quality",
]
