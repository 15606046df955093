"""What hostile texts achieve: the attack suite against our own request, and against the model in use."""

import dagster as dg
import polars as pl

from cs_features.errors import CsFeaturesError, Outage, Unavailable
from cs_features.extraction.session import Session
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import lasting_failure, passing_failure
from cs_features.orchestration.metadata import as_table
from cs_features.orchestration.resources import DataBucket, Model
from cs_features.quality.attacks import list_attack_cases, measure_attack_resistance
from cs_features.quality.golden_run import ask_labelled_items


@dg.asset(
    kinds={"bedrock", "polars"},
    description=(
        "How often hostile texts break out of the envelope (never, or it is a defect), are suspected, and are obeyed "
        "by the model in use; by kind of attack and language."
    ),
)
@guard_boundary
def attack_resistance(context: dg.AssetExecutionContext, model: Model, data: DataBucket) -> dg.MaterializeResult[None]:
    attacks = list_attack_cases()

    def log_progress(session: Session, total: int) -> None:
        if len(session.outcomes) in (1, total):
            context.log.info(f"{len(session.outcomes)} of {total} attacks answered")

    interactions = {attack.id: attack.as_interaction() for attack in attacks}
    try:
        asked = ask_labelled_items(interactions, model, data, "attacks", log_progress)
    except (Outage, Unavailable) as error:
        raise passing_failure(str(error)) from None
    except CsFeaturesError as error:
        raise lasting_failure(str(error)) from None
    measured = measure_attack_resistance(attacks, asked.answers)
    tables = data.tables()
    tables.write("attack_resistance", None, measured)
    totals = measured.select(pl.col("cases", "structural", "suspected", "answered", "obeyed").sum()).row(0, named=True)
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": tables.uri("attack_resistance", None),
            **totals,
            "calls": asked.calls,
            "cost_usd": asked.cost_usd,
            "by_kind": as_table(measured.group_by("kind").agg(pl.col(*totals).sum()).sort("kind")),
            "by_language": as_table(measured.group_by("language").agg(pl.col(*totals).sum()).sort("language")),
        }
    )
