"""The features of a story in SQL, for DuckDB: a second reader beside the oracle; no line is the product's."""

from pathlib import Path

import duckdb
import polars as pl
import polars.selectors as cs

from cs_features.customers.definitions import SCHEMA
from cs_features.customers.training import Options
from cs_features.local.bench.training_histories import CHANNELS, Story

_KNOWN = """
WITH story AS (
  SELECT *, row_number() OVER (PARTITION BY interaction_id ORDER BY api_invocation_time, write_time, is_deleted,
    event_time, customer_id NULLS LAST, channel NULLS LAST, sentiment NULLS LAST, primary_topic NULLS LAST,
    intent NULLS LAST, resolution_status NULLS LAST, urgency_score NULLS LAST, csat_indicator NULLS LAST,
    prompt_version NULLS LAST, model_id NULLS LAST) AS version,
    min(api_invocation_time) OVER () AS went_live
  FROM (SELECT * REPLACE (strptime(event_time, '%Y-%m-%dT%H:%M:%S.%gZ') AS event_time) FROM history)
), told AS (
  SELECT *, CASE WHEN version = 1 AND event_time < went_live AND $lag IS NOT NULL
    THEN least(api_invocation_time, event_time + to_seconds($lag)) ELSE api_invocation_time END AS told_at
  FROM story
), seen AS (
  SELECT row, cut - to_seconds($embargo) AS final, told.*
  FROM windows JOIN (SELECT DISTINCT customer_id, interaction_id FROM told) USING (customer_id)
  JOIN told USING (interaction_id) WHERE told_at <= cut
  QUALIFY version = max(version) OVER (PARTITION BY row, interaction_id)
), pairs AS (
  SELECT seen.*, final - event_time AS age,
    count(*) OVER topic > 0 AND primary_topic <> 'other' AS is_repeat
  FROM seen JOIN windows USING (row)
  WHERE NOT is_deleted AND seen.customer_id = windows.customer_id AND event_time < final
    AND event_time >= final - INTERVAL 365 DAY
  WINDOW topic AS (PARTITION BY row, primary_topic ORDER BY event_time, interaction_id
    ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING)
), timed AS (
  SELECT * REPLACE (coalesce(is_repeat AND event_time - lag(event_time) OVER (
    PARTITION BY row, primary_topic ORDER BY event_time, interaction_id) <= INTERVAL 7 DAY, false) AS is_repeat)
  FROM pairs
)
SELECT row, {columns} FROM windows LEFT JOIN timed USING (row) GROUP BY row ORDER BY row
"""


def count_in_duckdb(story: Story, options: Options, folder: Path) -> pl.DataFrame:
    """Every feature of the story's spine, a row a row of it; `folder` takes what DuckDB is to read."""
    columns = [column for days in (7, 30, 90, 365) for column in _list_columns(days)]
    columns += [
        "min(epoch_us(final) - epoch_us(event_time)) / 86400e6 AS days_since_last_365d",
        "(SELECT string_agg(v || ':' || n, ' ' ORDER BY v) FROM (SELECT prompt_version v, count(*) n FROM timed t "
        "WHERE t.row = windows.row GROUP BY v)) AS prompt_versions_365d",
    ]
    windows = story.build_spine().with_row_index("row").with_columns(pl.col("cut").dt.replace_time_zone(None))
    lag = options.assumed_lag
    windows.write_parquet(folder / "windows.parquet")
    story.build_history().rows.write_parquet(folder / "history.parquet")
    query = _KNOWN.replace("{columns}", ",\n".join(columns))
    given = {"lag": None if lag is None else lag.total_seconds(), "embargo": options.embargo.total_seconds()}
    with duckdb.connect() as connection:
        for name in ("windows", "history"):
            connection.execute(f"CREATE TABLE {name} AS FROM '{folder / name}.parquet'")
        found = connection.execute(query, given)
        names = [column[0] for column in found.description]
        counted = pl.DataFrame(found.fetchall(), schema=names, orient="row", infer_schema_length=None)
    typed = counted.with_columns(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    return typed.with_columns(cs.float().fill_nan(None))  # the slope through one point


def _list_columns(days: int) -> list[str]:
    inside = f"FILTER (event_time >= final - INTERVAL {days} DAY)"
    counted = {
        "contacts": "true",
        **{f"contacts_{channel}": f"channel = '{channel}'" for channel in CHANNELS},
        "open": "resolution_status = 'pending'",
        "escalated": "resolution_status = 'escalated'",
        "repeated": "is_repeat",
        "intent_leave": "intent = 'leave_company'",
        "intent_complain": "intent = 'complain'",
        "intent_refund": "intent = 'request_refund'",
    }
    columns = [
        f"count(CASE WHEN {condition} AND interaction_id IS NOT NULL THEN 1 END) {inside} AS {name}_{days}d"
        for name, condition in counted.items()
    ]
    columns += [
        f"avg((sentiment = 'negative')::INT) {inside} AS negative_share_{days}d",
        f"min(csat_indicator) {inside} AS csat_least_{days}d",
        f"avg(csat_indicator) {inside} AS csat_mean_{days}d",
        f"max(urgency_score) {inside} AS urgency_greatest_{days}d",
        f"count(DISTINCT primary_topic) {inside} AS topics_{days}d",
    ]
    if days > 30:
        columns.append(f"regr_slope(csat_indicator, epoch(event_time) / 86400 / 30) {inside} AS csat_trend_{days}d")
    return columns
