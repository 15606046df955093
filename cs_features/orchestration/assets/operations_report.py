"""The page of the day: everything that is known gathered, judged, written to the data bucket, and told.

Here: gathering and telling. Not here: what is a concern, which figures there are, how they look (`reporting/`).
"""

from datetime import datetime, timezone

import dagster as dg

from cs_features import aws
from cs_features.errors import AccessRefused, AwsRefusal
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import lasting_failure, passing_failure
from cs_features.orchestration.partitions import country_partitions
from cs_features.orchestration.resources import Alerts, DataBucket, Landing, Model
from cs_features.orchestration.standing import Instance, list_standing
from cs_features.reporting.concerns import Concern
from cs_features.reporting.facts import Operations, list_country_figures
from cs_features.reporting.mail import write_morning_message
from cs_features.reporting.page import (
    COLUMNS,
    build_country_row,
    describe_window_law,
    describe_window_money,
    write_first_lines,
)
from cs_features.reporting.reader import Scope
from cs_features.reporting.report import Addresses, Report, make_report, save_operations_report
from cs_features.reporting.state import is_mail_due, read_state, write_state


@dg.asset(
    deps=["reconciliation", "misfiled_objects", "open_rejects"],
    kinds={"html"},
    description="The page of the day: what needs a person, a row a country, what changed, and what is unknown.",
)
@guard_boundary
def operations_report(
    context: dg.AssetExecutionContext, landing: Landing, data: DataBucket, model: Model, alerts: Alerts
) -> dg.MaterializeResult[None]:
    now = datetime.now(timezone.utc)
    scope = Scope(country_partitions.get_partition_keys(), landing.window_days, model)
    standing = list_standing(Instance(context.instance, alerts.ui_url, now, landing.window_days))
    try:
        report = make_report(data.tables(), scope, standing, Addresses(alerts.ui_url, landing.bucket), now)
        uri = save_operations_report(data.tables().bucket, report)
        _tell_once_a_day(report, uri, data, alerts)
    except AccessRefused as error:
        raise lasting_failure(str(error)) from None
    except AwsRefusal as error:
        raise passing_failure(str(error)) from None
    for line in write_first_lines(report.concerns):
        context.log.info(line)
    return dg.MaterializeResult(metadata=describe_report(report, uri))


def _tell_once_a_day(report: Report, uri: str, data: DataBucket, alerts: Alerts) -> None:
    """Without a topic there is nobody to tell. What SNS refuses fails the run, and the next one tells."""
    bucket, today = data.bucket(), report.facts.now.date()
    state = read_state(bucket)
    if not alerts.topic_arn or not is_mail_due(state, today):
        return
    message = write_morning_message(report.concerns, report.facts.now, uri, alerts.ui_url)
    with aws.explained("Alerts topic", "CS_FEATURES_ALERTS_TOPIC_ARN"):
        alerts.client().publish(TopicArn=alerts.topic_arn, Subject=message.subject, Message=message.body)
    write_state(bucket, state.model_copy(update={"mailed": today}))


def describe_report(report: Report, uri: str) -> dict[str, dg.MetadataValue]:
    """The essence: the first lines, the countries as a table, and the figures that plot, a country each."""
    facts = report.facts
    return {
        "needs_you": dg.MetadataValue.md(list_as_markdown(report.concerns)),
        "concerns": dg.MetadataValue.int(len(report.concerns)),
        "unreadable_sources": dg.MetadataValue.int(sum(source.error is not None for source in facts.sources)),
        "page": dg.MetadataValue.text(uri),
        "page_bytes": dg.MetadataValue.int(len(report.page.encode())),
        "law": dg.MetadataValue.text(describe_window_law(facts)),
        "money": dg.MetadataValue.text(describe_window_money(facts)),
        "countries": tabulate_countries(facts),
        **plot_countries(facts),
    }


def list_as_markdown(concerns: list[Concern]) -> str:
    lines = write_first_lines(concerns)
    links = [f" [open]({concern.link})" for concern in concerns[: len(lines)]]
    return "\n\n".join(line + link for line, link in zip(lines, [*links, "", ""], strict=False))


def tabulate_countries(facts: Operations) -> dg.TableMetadataValue:
    names = ["country", *COLUMNS]
    records = []
    for country in facts.countries:
        figures = [" ".join(filter(None, [cell.figure, cell.note])) for cell in build_country_row(country, facts)]
        records.append(dg.TableRecord(dict(zip(names, [country.country, *figures], strict=True))))
    schema = dg.TableSchema(columns=[dg.TableColumn(name) for name in names])
    return dg.MetadataValue.table(records=records, schema=schema)


def plot_countries(facts: Operations) -> dict[str, dg.MetadataValue]:
    """One figure a country and name, so that no plot jumps between countries; an unknown one leaves a gap."""
    figures: dict[str, dg.MetadataValue] = {}
    for country in facts.countries:
        for name, value in list_country_figures(country, facts).items():
            if value is not None:
                figures[f"{name}_{country.country}"] = dg.MetadataValue.float(float(value))
    return figures
