"""How good the model in use is on the golden corpus, for each locale: known before anything is published."""

import dagster as dg
import polars as pl

from cs_features.errors import CsFeaturesError, RequestError
from cs_features.extraction.session import Session
from cs_features.orchestration.assets.country_prompts import of_the_locale
from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.failures import make_failure
from cs_features.orchestration.metadata import as_table, plot_apart
from cs_features.orchestration.partitions import locale_partitions
from cs_features.orchestration.plots import draw_confusion
from cs_features.orchestration.quota_pool import MODEL_POOL, share_quota
from cs_features.orchestration.resources import DataBucket, Model
from cs_features.partitions import Locale
from cs_features.quality.evaluation import count_field_confusions, list_evaluation_misses, measure_quality
from cs_features.quality.golden import read_golden_file
from cs_features.quality.golden_run import Answers, Progress, ask_golden_items
from cs_features.schemas import CATEGORICAL


@dg.asset(
    partitions_def=locale_partitions,
    deps=[of_the_locale],
    pool=MODEL_POOL,
    kinds={"bedrock", "polars"},
    description="How well the model in use answers one locale's golden items: accuracy, macro-F1, ranks, calibration.",
)
@guard_boundary
def extraction_quality(context: dg.AssetExecutionContext, model: Model, data: DataBucket) -> dg.MaterializeResult[None]:
    locale = Locale.from_key(context.partition_key)
    model = share_quota(model, context.instance, context.run_id)

    def log_progress(session: Session, total: int) -> None:
        if len(session.outcomes) in (1, total):
            context.log.info(f"{locale}: {len(session.outcomes)} of {total} items answered")

    try:
        answers = _ask_locale(locale, model, data, log_progress)
        version = model.prompts().version(locale.country)
    except CsFeaturesError as error:
        raise make_failure(f"{locale}: {error}", error) from None
    measured = measure_quality(answers.frame).with_columns(
        model_id=pl.lit(model.model_id), prompt_version=pl.lit(version)
    )
    tables = data.tables()
    tables.write("extraction_quality", locale, measured)
    items = answers.frame.height
    shares = measured.filter(pl.col("measure").is_in(["accuracy", "all_facts", "supported"]))
    figures = {
        "items": items,
        "unanswered": answers.unanswered,
        "calls": answers.calls,
        "cost_usd": answers.cost_usd,
        **{f"{row['field']}_{row['measure']}": float(row["value"]) for row in shares.iter_rows(named=True)},
    }
    pictures = {
        f"confusion_{name}": dg.MetadataValue.md(
            draw_confusion(count_field_confusions(answers.frame, name), f"{name}, {locale}, {items} items")
        )
        for name in CATEGORICAL
    }
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": tables.uri("extraction_quality", locale),
            "prompt_version": version,
            "quality": as_table(measured.drop("country", "language", "model_id", "prompt_version")),
            "misses": as_table(list_evaluation_misses(answers.frame)),
            **plot_apart(str(locale), figures),
            **pictures,
        }
    )


def _ask_locale(locale: Locale, model: Model, data: DataBucket, progress: Progress) -> Answers:
    items = read_golden_file(model.find_prompts_folder(), model.prompts()).require_golden_locale(locale)
    if not items:
        raise RequestError(
            f"{model.find_prompts_folder()}/golden/{locale.language}.jsonl has no items of {locale.country}"
        )
    return ask_golden_items(items, model, data, progress)
