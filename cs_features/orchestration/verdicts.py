"""What the schema says of `validated_features`, asked once a run and set of rows.

The check before the publication and the publication itself both ask, because a run of one alone is not bound by the
other. In one run they are given the same rows, and the same rows have the same verdict. Not here: the rules
(`validation/tables.py`), and how they are applied (`validation/gate.py`).
"""

import polars as pl

from cs_features.orchestration.run_memory import RUN_MEMORY
from cs_features.partitions import Partition
from cs_features.services import Model
from cs_features.validation.gate import Verdict, judge_features


def judge_rows_once(run_id: str, validated: pl.DataFrame, model: Model, partition: Partition) -> Verdict:
    """The verdict that this run has on these very rows already, or a new one.

    Raises:
        SchemaMismatch: the table as a whole does not fit.
    """
    rows = f"verdict on {partition.key} {validated.height} {validated.hash_rows().sum()}"
    return RUN_MEMORY.recall(
        run_id, rows, lambda: judge_features(validated, model.prompts().features_model, partition.country)
    )
