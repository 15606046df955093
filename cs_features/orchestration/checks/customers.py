"""Whether customers' features are served: everybody who should be, as he is trained on, and nobody without a reason.

The asset gives the results, because it has read the history anyway: `assets/customer_features.py`.
"""

from cs_features.orchestration.checks.registry import register_spec

CUSTOMERS_SERVED = register_spec(
    "customers_served",
    "customer_features",
    partitions_def=None,
    rule="Records served = customers with a contact in the last year, counted from all contacts, + records kept.",
    meaning="Until then customers are served features of before, or are not served at all.",
    advice=(
        "Run update_customers again: it writes what is missing and withdraws what is too much. If it repeats, it is a "
        "defect."
    ),
)
SERVED_AS_TRAINED = register_spec(
    "served_as_trained",
    "customer_features",
    partitions_def=None,
    rule="Of 100 customers, others every day, the online store serves what training_set says of the day's cut.",
    meaning="Models are served what they have not learnt from.",
    advice=(
        "If somebody wrote to the second group, or to the first but "
        "for this product, materialize customer_features with read_everything: true; the check names the features."
    ),
)
NOBODY_VANISHED = register_spec(
    "nobody_vanished",
    "customer_features",
    partitions_def=None,
    rule="Every customer who was served has contacts in the history, or left for a reason that it tells.",
    meaning="These customers are served features that no contact in the history speaks for any more.",
    advice=(
        "The offline store no longer has a row of theirs, and nobody said why: look whether its objects were deleted "
        "or its group was made anew. Their records are kept. If they are to leave, erase them, or create a new group."
    ),
)
CUSTOMER_CHECKS = (CUSTOMERS_SERVED, SERVED_AS_TRAINED, NOBODY_VANISHED)
