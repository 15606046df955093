"""What the daily inventory of all partitions finds. The inventory itself is taken in `assets/inventory.py`."""

import dagster as dg
import polars as pl

from cs_features.errors import AwsRefusal
from cs_features.monitoring.findings import FindingKind
from cs_features.monitoring.preflight import run_preflight_probes
from cs_features.monitoring.reconciliation import DOCUMENTS_UNKNOWN, STORE_UNKNOWN, State, differs_in, name_error
from cs_features.monitoring.serving import describe_served_group
from cs_features.orchestration.checks.registry import register_check
from cs_features.orchestration.metadata import as_table
from cs_features.orchestration.resources import Alerts, DataBucket, FeatureGroup, History, Landing, Model, Retention
from cs_features.services import Services

MAX_MISFILED = 0  # objects: each may hold a day's documents
SHOWN_FOLDERS = 20
SHOWN_PARTITIONS = 100


@register_check(
    "reconciliation",
    partitions_def=None,
    rule=(
        "Every partition of the window holds exactly what landed, and no interaction that a later document of another "
        "partition superseded; the sensor asks for those that do not."
    ),
    meaning="Until these partitions are run again, features of their days are missing, doubled or of an older text.",
    advice=(
        "landing_sensor runs these partitions again; those that differ tomorrow too are a defect. What is unknown "
        "could not be read: the column error says why, mostly a permission."
    ),
)
def reconciled(reconciliation: pl.DataFrame) -> dg.AssetCheckResult:
    differs = differs_in(FindingKind.DOCUMENTS, FindingKind.SUPERSEDED)
    found = reconciliation.filter(differs | DOCUMENTS_UNKNOWN)
    unsettled = reconciliation.filter(pl.col("state").is_in([State.CHANGING.value, State.RUNNING.value]))
    return dg.AssetCheckResult(
        passed=found.is_empty(),
        metadata={
            "partitions_differing": reconciliation.filter(differs).height,
            "partitions_unknown": reconciliation.filter(DOCUMENTS_UNKNOWN).height,
            "partitions_settling": unsettled.height,
            "differing": as_table(found.head(SHOWN_PARTITIONS)),
        },
    )


@register_check(
    "reconciliation",
    partitions_def=None,
    rule=(
        "The feature store serves what is validated and what is kept, and nothing else: every partition's manifest of "
        "the group in use, a sample of the online store, and the state of the offline store."
    ),
    meaning="Until they are published again, the store lacks features of these days, or serves some that should go.",
    advice=(
        "landing_sensor publishes these partitions again. If the offline store is not Active, mend it first: the "
        "group's page in SageMaker says why, often its role or its bucket."
    ),
)
def served(reconciliation: pl.DataFrame, feature_group: FeatureGroup) -> dg.AssetCheckResult:
    differs = differs_in(FindingKind.UNPUBLISHED, FindingKind.TAKEN_OUT)
    found = reconciliation.filter(differs | STORE_UNKNOWN)
    try:
        offline_status = describe_served_group(feature_group.control_plane(), feature_group.name).offline_status
    except AwsRefusal as error:
        offline_status = name_error(error)
    return dg.AssetCheckResult(
        passed=found.is_empty() and offline_status == "Active",
        metadata={
            "partitions_differing": reconciliation.filter(differs).height,
            "partitions_unknown": reconciliation.filter(STORE_UNKNOWN).height,
            "records_asked_online": int(reconciliation["asked_online"].sum()),
            "records_missing_online": int(reconciliation["missing_online"].sum()),
            "offline_store": offline_status,
            "differing": as_table(found.head(SHOWN_PARTITIONS)),
        },
    )


@register_check(
    "reconciliation",
    partitions_def=None,
    alone=True,
    rule="Account, region, quotas and settings let the product work: what `make preflight` asks, asked again each day.",
    meaning="What is wrong will stop a run or make it dearer; what is served stays served.",
    advice="The check's table says of each thing that is wrong what to do. Access that was there can vanish.",
)
def preflight(
    landing: Landing,
    data: DataBucket,
    model: Model,
    feature_group: FeatureGroup,
    customer_feature_group: FeatureGroup,
    alerts: Alerts,
    history: History,
    retention: Retention,
) -> dg.AssetCheckResult:
    services = Services(
        landing=landing,
        data=data,
        model=model,
        feature_group=feature_group,
        customer_feature_group=customer_feature_group,
        alerts=alerts,
        history=history,
        retention=retention,
    )
    findings = run_preflight_probes(services)
    wrong = [finding for finding in findings if not finding.is_ok]
    return dg.AssetCheckResult(
        passed=not wrong,
        metadata={
            "wrong": len(wrong),
            "subjects": ", ".join(finding.subject for finding in wrong) or "none",
            "found": dg.MetadataValue.md("\n\n".join(finding.line for finding in findings)),
        },
    )


@register_check(
    "misfiled_objects",
    partitions_def=None,
    rule=f"At most {MAX_MISFILED} objects under the landing prefix lie where no run will ever read them.",
    meaning="Their documents never become features, and no other count misses them.",
    advice=(
        "The check lists the folders and why. Move the objects to interactions/country=CC/date=YYYY-MM-DD/ and tell "
        "the feed's owner; run the partitions of days before the window by hand; delete what is no document."
    ),
)
def misfiled(misfiled_objects: pl.DataFrame) -> dg.AssetCheckResult:
    objects = int(misfiled_objects["objects"].sum())
    return dg.AssetCheckResult(
        passed=objects <= MAX_MISFILED,
        metadata={
            "objects": objects,
            "limit": MAX_MISFILED,
            "folders": misfiled_objects.height,
            "first_folders": as_table(misfiled_objects.head(SHOWN_FOLDERS)),
        },
    )
