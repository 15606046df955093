"""`erase_customer`: one person out of everything, from the UI; what it did and could not reach is the run's metadata.

Thin: what is erased stands in `planning/erasing/`.
"""

from datetime import datetime, timezone

import dagster as dg
import polars as pl
from pydantic import Field

from cs_features.erasure.receipts import Leftover, Receipt
from cs_features.erasure.subjects import make_erasure_subject
from cs_features.errors import AccessRefused, AwsRefusal, ConfigurationError, PublishingFailed, RequestError
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import lasting_failure, passing_failure
from cs_features.orchestration.metadata import as_table
from cs_features.orchestration.resources import DataBucket, FeatureGroup, Landing
from cs_features.planning.erasing.eraser import erase_subject_everywhere
from cs_features.planning.erasing.stores import open_erasable_stores
from cs_features.privacy.masking import mask_personal_data

GOING_ON = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
# On AWS a run may not write what landed: its role is that of every run.
BY_COMMAND = (
    "Runs may not erase there: whoever may take EraserRole runs python -m cs_features.cli.erase_customer --customer - "
    "--yes, as deploy/README.md says; the tombstone stands, and that does the rest"
)


class ErasureConfig(dg.Config):
    """Whom to erase. Dagster keeps what is typed here: an id that says who somebody is belongs to the command."""

    customer_id: str = Field("", description="as the documents give it, where it is a number or code that names nobody")
    interaction_ids: list[str] = Field(default_factory=list, description="or single interactions")
    dry_run: bool = Field(True, description="only count what would be erased")


@dg.op(out=dg.Out(dg.Nothing))
@guard_boundary
def erase_everywhere(
    context: dg.OpExecutionContext,
    config: ErasureConfig,
    landing: Landing,
    data: DataBucket,
    feature_group: FeatureGroup,
    customer_feature_group: FeatureGroup,
) -> None:
    """Take one person out of every place, or count what that would take; the receipt is this step's metadata."""
    if mask_personal_data(config.customer_id, "NL").spans:
        raise lasting_failure(
            "This customer_id is personal data by itself, and Dagster keeps what is typed into a run: delete this run, "
            "and use the command: make erase-customer CUSTOMER=-"
        )
    try:
        subject = make_erasure_subject(config.customer_id, config.interaction_ids, datetime.now(timezone.utc))
        stores = open_erasable_stores(landing, data, feature_group, customer_feature_group)
        receipt = erase_subject_everywhere(subject, stores, data.reveal_tombstone_key(), dry_run=config.dry_run)
    except AccessRefused as error:
        raise lasting_failure(f"{error}. {BY_COMMAND}") from None
    except (ConfigurationError, RequestError) as error:
        raise lasting_failure(str(error)) from None
    except (AwsRefusal, PublishingFailed) as error:
        raise passing_failure(f"{error}. Half of it may be erased: the same again does the rest") from None
    _report(context, receipt, count_running(context))
    if receipt.remaining:
        raise passing_failure(f"{receipt.remaining} rows and lines changed while they were erased: run it again")


def count_running(context: dg.OpExecutionContext) -> int:
    """Runs that go on beside this one: what they have read they may write still."""
    runs = context.instance.get_runs(dg.RunsFilter(statuses=GOING_ON))
    return sum(run.run_id != context.run_id for run in runs)


def _report(context: dg.OpExecutionContext, receipt: Receipt, running: int) -> None:
    leftovers = list(receipt.leftovers)
    if running:
        leftovers.insert(0, Leftover(f"{running} runs that go on now", "erase again when they have ended"))
    taken = pl.DataFrame(
        [(each.place, each.objects, each.rows) for each in receipt.taken],
        schema={"place": pl.String, "objects": pl.Int64, "rows": pl.Int64},
        orient="row",
    )
    left = pl.DataFrame(
        [(each.what, each.ends_by) for each in leftovers],
        schema={"what": pl.String, "ends_by": pl.String},
        orient="row",
    )
    context.log.info(f"{receipt.interactions} interactions, {taken['rows'].sum()} rows, lines and documents of them")
    context.add_output_metadata(
        {
            "dry_run": receipt.dry_run,
            "interactions": receipt.interactions,
            "taken": as_table(taken),
            "remaining": receipt.remaining,
            "not_within_reach": as_table(left),
        }
    )


@dg.job(executor_def=dg.in_process_executor, description="Erases one person from everything stored; dry run first.")
def erase_customer() -> None:
    """By customer or by interactions; a receipt says what was erased where, and what cannot be reached."""
    erase_everywhere()
