"""How good the model in use is on the golden corpus, for each locale: known before anything is published."""

import dagster as dg
import polars as pl

from cs_features.errors import RunStopper
from cs_features.extraction.session import Session
from cs_features.orchestration.assets.country_prompts import of_the_locale
from cs_features.orchestration.metadata import as_table
from cs_features.orchestration.partitions import locale_partitions
from cs_features.orchestration.plots import draw_confusion
from cs_features.orchestration.resources import DataBucket, Model
from cs_features.partitions import Locale
from cs_features.quality.evaluation import confusion, quality
from cs_features.quality.golden import load_golden
from cs_features.quality.golden_run import answers_of
from cs_features.schemas import CATEGORICAL


@dg.asset(
    partitions_def=locale_partitions,
    deps=[of_the_locale],
    group_name="interactions",
    kinds={"bedrock", "polars"},
    description="How well the model in use answers one locale's golden items: accuracy, macro-F1, ranks, calibration.",
)
def extraction_quality(context: dg.AssetExecutionContext, model: Model, data: DataBucket) -> dg.MaterializeResult[None]:
    locale = Locale.from_key(context.partition_key)
    prompts = model.prompts()
    corpus = load_golden(model.prompts_dir, prompts)
    items = [item for item in corpus if (item.country, item.language) == (locale.country, locale.language)]

    def progress(session: Session, total: int) -> None:
        if len(session.outcomes) in (1, total):
            context.log.info(f"{locale}: {len(session.outcomes)} of {total} items answered")

    try:
        answers = answers_of(items, model, data, progress)
    except RunStopper as error:
        raise dg.Failure(f"{locale}: {error}", allow_retries=False) from None
    measured = quality(answers.frame).with_columns(
        model_id=pl.lit(model.model_id), prompt_version=pl.lit(prompts.version(locale.country))
    )
    tables = data.tables()
    tables.write("extraction_quality", locale, measured)
    shares = measured.filter(pl.col("measure").is_in(["accuracy", "all_facts", "supported"]))
    return dg.MaterializeResult(
        metadata={
            "dagster/uri": tables.uri("extraction_quality", locale),
            "items": len(items),
            "calls": answers.calls,
            "cost_usd": answers.cost_usd,
            "prompt_version": prompts.version(locale.country),
            "quality": as_table(measured),
            **{f"{row['field']}_{row['measure']}": float(row["value"]) for row in shares.iter_rows(named=True)},
            **{
                f"confusion_{name}": dg.MetadataValue.md(
                    draw_confusion(confusion(answers.frame, name), f"{name}, {locale}, {len(items)} items")
                )
                for name in CATEGORICAL
            },
        }
    )
