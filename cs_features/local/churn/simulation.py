"""Simulated customers with contacts and churn: the signal is planted, the extraction errs at a known rate.

Nothing here is data of anybody, and no figure from it says anything of real customers. It says whether features are
made honestly, because the truth is known. Not here: models (`models.py`), what is printed (`__main__.py`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np
import polars as pl
from numpy.typing import NDArray

from cs_features.publishing.reading import EVENT_TIME_FORMAT, HISTORY_SCHEMA, OfflineHistory

CUT = datetime(2026, 6, 1)
BEGIN = CUT - timedelta(days=300)
AS_OF = CUT + timedelta(days=60)
FLIPPED = 0.15  # of the sentiments, the extraction calls a negative one neutral or the reverse
LATE = 0.1  # of the contacts are told up to ten days after they took place
WEIGHTS = {"constant": -2.6, "plan": 0.5, "negative": 0.9, "open": 0.7}
Floats = NDArray[np.float64]
Moments = NDArray[np.datetime64]
_SECOND = np.timedelta64(1, "s")


@dataclass(frozen=True)
class World:
    """What happened, what the store was told of it, and what nobody but the simulation knows."""

    spine: pl.DataFrame  # customer_id, cut, plan (known of everybody) and the label `left`, within 30 days
    history: OfflineHistory
    true_negative: Floats  # a customer: negative contacts of 90 days that were knowable at the cut, without errors
    true_open: Floats


@dataclass(frozen=True)
class _Contacts:
    customer: NDArray[np.int64]
    happened: Moments
    told: Moments
    is_negative: NDArray[np.bool_]
    is_open: NDArray[np.bool_]

    def count_knowable(self, marked: NDArray[np.bool_], customers: int) -> Floats:
        cut = np.datetime64(CUT, "s")
        end = cut - np.timedelta64(1, "D")
        in_time = (self.happened < end) & (self.happened >= end - np.timedelta64(90, "D")) & (self.told <= cut)
        return np.bincount(self.customer[marked & in_time], minlength=customers).astype(float)


def simulate_world(customers: int, seed: int) -> World:
    """Customers who write four times a year, the angrier the likelier to leave in the 30 days after the cut.

    Who leaves sends a cancellation: most after the cut, some dated before it and told after it. Clerks then correct
    the last contacts of those who left to "escalated": both are in the store today, and neither was known at the cut.
    """
    dice = np.random.default_rng(seed)
    contacts = _draw_contacts(dice, customers)
    plan = dice.integers(0, 2, customers).astype(float)
    negative = contacts.count_knowable(contacts.is_negative, customers)
    unsolved = contacts.count_knowable(contacts.is_open, customers)
    lure = WEIGHTS["constant"] + WEIGHTS["plan"] * plan + WEIGHTS["negative"] * negative + WEIGHTS["open"] * unsolved
    left = dice.random(customers) < 1 / (1 + np.exp(-lure))
    told = [_tell_contacts(dice, contacts), _tell_corrections(dice, contacts, left), _tell_cancellations(dice, left)]
    spine = pl.DataFrame({"customer_id": _name_customers(np.arange(customers)), "plan": plan, "left": left})
    cut = pl.lit(CUT.replace(tzinfo=timezone.utc), pl.Datetime("us", "UTC"))
    history = OfflineHistory("simulated", AS_OF.replace(tzinfo=timezone.utc), pl.concat(told))
    return World(spine.with_columns(cut=cut), history, negative, unsolved)


def misread_counts(dice: np.random.Generator, world: World, contacts: Floats) -> Floats:
    """The true negative counts as an extraction that errs at the known rate would give them, among so many contacts."""
    kept = dice.binomial(world.true_negative.astype(int), 1 - FLIPPED)
    invented = dice.binomial((contacts - world.true_negative).astype(int), FLIPPED)
    return (kept + invented).astype(float)


def _draw_contacts(dice: np.random.Generator, customers: int) -> _Contacts:
    anger = dice.beta(1.5, 3.5, customers)
    customer = np.repeat(np.arange(customers), dice.poisson(4 * 300 / 365, customers))
    seconds = dice.integers(0, 300 * 86_400, len(customer))
    happened = np.datetime64(BEGIN, "s") + seconds * _SECOND
    delay = dice.integers(600, 7_200, len(customer))
    is_late = dice.random(len(customer)) < LATE
    delay[is_late] = dice.integers(86_400, 10 * 86_400, is_late.sum())
    is_negative = dice.random(len(customer)) < anger[customer]
    is_open = dice.random(len(customer)) < 0.2
    return _Contacts(customer, happened, happened + delay * _SECOND, is_negative, is_open)


def _tell_contacts(dice: np.random.Generator, contacts: _Contacts) -> pl.DataFrame:
    read_as = contacts.is_negative ^ (dice.random(len(contacts.customer)) < FLIPPED)
    return _build_rows("contact", contacts.customer, contacts.happened, contacts.told).with_columns(
        sentiment=pl.Series(np.where(read_as, "negative", "neutral")),
        resolution_status=pl.Series(np.where(contacts.is_open, "pending", "resolved")),
        intent=pl.lit("ask_information"),
    )


def _tell_corrections(dice: np.random.Generator, contacts: _Contacts, left: NDArray[np.bool_]) -> pl.DataFrame:
    """After they left, their contacts of the last 90 days are said to have been negative and escalated."""
    recent = contacts.happened >= np.datetime64(CUT - timedelta(days=90), "s")
    chosen = np.flatnonzero(left[contacts.customer] & recent)
    told = np.datetime64(CUT, "s") + dice.integers(86_400, 50 * 86_400, len(chosen)) * _SECOND
    rows = _build_rows("contact", contacts.customer[chosen], contacts.happened[chosen], told, chosen)
    return rows.with_columns(
        sentiment=pl.lit("negative"), resolution_status=pl.lit("escalated"), intent=pl.lit("complain")
    )


def _tell_cancellations(dice: np.random.Generator, left: NDArray[np.bool_]) -> pl.DataFrame:
    customer = np.flatnonzero(left)
    days_after = dice.uniform(0, 30, len(customer))
    signed_before = dice.random(len(customer)) < 0.3  # letters carry the date on which they were signed
    days_after[signed_before] = -dice.uniform(0, 5, signed_before.sum())
    happened = np.datetime64(CUT, "s") + (days_after * 86_400).astype(int) * _SECOND
    sent: Moments = np.where(days_after > 0, happened, np.datetime64(CUT, "s"))
    told = sent + dice.integers(3_600, 7 * 86_400, len(customer)) * _SECOND
    return _build_rows("cancellation", customer, happened, told).with_columns(
        sentiment=pl.lit("neutral"), resolution_status=pl.lit("resolved"), intent=pl.lit("leave_company")
    )


def _build_rows(
    kind: str, customer: NDArray[np.int64], happened: Moments, told: Moments, numbers: NDArray[np.int64] | None = None
) -> pl.DataFrame:
    numbers = np.arange(len(customer)) if numbers is None else numbers
    rows = pl.DataFrame(
        {"interaction_id": pl.Series(numbers).cast(pl.String), "customer_id": _name_customers(customer)}
    )
    told_at = pl.Series(told.astype("datetime64[us]"))
    given = rows.with_columns(
        interaction_id=pl.format(f"{kind}-{{}}", "interaction_id"),
        event_time=pl.Series(happened.astype("datetime64[ms]")).dt.strftime(EVENT_TIME_FORMAT),
        api_invocation_time=told_at,
        write_time=told_at,
    )
    constant = {
        "primary_topic": pl.lit("staff_service"),
        "channel": pl.lit("chat"),
        "prompt_version": pl.lit("simulated"),
        "model_id": pl.lit("simulated"),
        "urgency_score": pl.lit(0.3),
        "csat_indicator": pl.lit(0.5),
        "is_deleted": pl.lit(False),
    }
    missing = {name: pl.lit(None, dtype) for name, dtype in HISTORY_SCHEMA.items() if name not in given.columns}
    return given.with_columns(**{**missing, **constant}).select(HISTORY_SCHEMA.names())


def _name_customers(numbers: NDArray[np.int64]) -> pl.Series:
    return pl.Series(numbers).cast(pl.String).str.zfill(7)
