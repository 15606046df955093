"""Every day: the features of customers who were touched, into the second feature group, as training_set counts them.

Not here: who is counted, written and withdrawn (`customers/`).
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

import dagster as dg
from pydantic import Field

from cs_features.customers.contacts import CONTACT_SCHEMA
from cs_features.customers.decision import Moment
from cs_features.customers.law import Comparison, CustomerBalance, balance_customers, compare_with_training
from cs_features.customers.plan import MANIFEST_SCHEMA, TABLE
from cs_features.customers.serving import CUSTOMERS, SETTING
from cs_features.customers.update import Updated, UpdateRules, update_customers
from cs_features.errors import CsFeaturesError
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.checks.customers import (
    CUSTOMER_CHECKS,
    CUSTOMERS_SERVED,
    NOBODY_VANISHED,
    SERVED_AS_TRAINED,
)
from cs_features.orchestration.failures import make_failure
from cs_features.orchestration.metadata import describe_columns
from cs_features.orchestration.resources import DataBucket, FeatureGroup, Landing
from cs_features.publishing.feature_group import require_group
from cs_features.publishing.publication import Destination
from cs_features.publishing.reading import OfflineHistory, Part, read_history
from cs_features.publishing.records import RecordStore

NO_GROUP = f"{SETTING} is empty: no customer's features are served"


class CustomerFeaturesConfig(dg.Config):
    """What a person lets an update do; by default it withdraws little at once and reads what is new."""

    allow_deletions: bool = Field(
        False, description="withdraw records however many they are: they really are to leave the store"
    )
    read_everything: bool = Field(
        False, description="read the whole offline store anew: somebody else wrote to it, or took out of it"
    )


@dg.asset(
    deps=["feature_store"],
    check_specs=CUSTOMER_CHECKS,
    kinds={"sagemaker", "polars"},
    metadata=describe_columns(MANIFEST_SCHEMA),
    description="What the second feature group holds, a record a customer: the table is the manifest of it.",
)
@guard_boundary
def customer_features(
    context: dg.AssetExecutionContext,
    config: CustomerFeaturesConfig,
    landing: Landing,
    data: DataBucket,
    feature_group: FeatureGroup,
    customer_feature_group: FeatureGroup,
) -> Iterator[dg.MaterializeResult[None]]:
    if not customer_feature_group.name:
        context.log.info(NO_GROUP)
        passed = [give_result(spec, True, NO_GROUP) for spec in CUSTOMER_CHECKS]
        yield dg.MaterializeResult(metadata={"feature_group": "none"}, check_results=passed)
        return
    tables = data.tables()
    store = RecordStore(customer_feature_group.runtime(), customer_feature_group.name, CUSTOMERS)
    rules = UpdateRules(
        window_days=landing.window_days,
        max_withdrawn_share=customer_feature_group.max_withdrawn_share,
        allow_deletions=config.allow_deletions,
        read_everything=config.read_everything,
        read_tombstones=data.tombstones,
    )
    try:
        identity = require_group(customer_feature_group.control_plane(), customer_feature_group.name, CUSTOMERS)
        updated = update_customers(tables, partial(read_part, feature_group.name), Destination(store, identity), rules)
        balance = balance_customers(updated)
        results = judge_update(balance, compare_with_training(updated, store))
    except CsFeaturesError as error:
        raise make_failure(str(error), error) from error
    counts = count_customers(updated, balance)
    context.log.info(
        f"{', '.join(f'{count} {name}' for name, count in counts.items())}. {describe_cut(updated.moment)}"
    )
    yield dg.MaterializeResult(
        metadata={
            "feature_group": customer_feature_group.name,
            "cut": dg.MetadataValue.timestamp(updated.moment.cut),
            "dagster/uri": tables.uri(TABLE, None),
            **counts,
        },
        check_results=results,
    )


def read_part(group: str, as_of: datetime, part: Part | None) -> OfflineHistory:
    return read_history(as_of, group=group, part=part, columns=CONTACT_SCHEMA.names())


def describe_cut(moment: Moment) -> str:
    """Which contacts count, for who looks for the one that landed a minute ago."""
    latest = moment.cut - moment.embargo
    return (
        f"Counted are contacts before {latest:%Y-%m-%d %H:%M} UTC that the store was told of by "
        f"{moment.cut:%Y-%m-%d %H:%M}; later ones at a later update"
    )


def count_customers(updated: Updated, balance: CustomerBalance) -> dict[str, int]:
    """What became of the customers, by the name of the materialization's metadata."""
    plan = updated.decision.plan
    return {
        "served": balance.served,
        "written": len(plan.write),
        "withdrawn": len(plan.withdraw),
        "kept": balance.kept,
        "unchanged": plan.unchanged,
        "rows_read": updated.memory.read_rows,
    }


def judge_update(balance: CustomerBalance, compared: Comparison) -> list[dg.AssetCheckResult]:
    law = f"{balance.served} served = {balance.expected} with a contact in the last year + {balance.kept} kept"
    trained = f"{compared.asked} asked, {compared.missing} not served, {compared.differing} served otherwise"
    return [
        give_result(
            CUSTOMERS_SERVED,
            balance.holds,
            law if balance.holds else f"Not {law}: {balance.unserved} unserved, {balance.unwithdrawn} unwithdrawn",
        ),
        give_result(
            SERVED_AS_TRAINED,
            not (compared.missing or compared.differing),
            ", ".join([trained, *compared.features]),
        ),
        give_result(NOBODY_VANISHED, balance.kept == 0, f"{balance.kept} customers are kept without a contact"),
    ]


def give_result(spec: dg.AssetCheckSpec, passed: bool, words: str) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=spec.name, passed=passed, severity=dg.AssetCheckSeverity.ERROR, description=words
    )
