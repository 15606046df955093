"""Real texts with the labels of their own sources: a second opinion, which owes nothing to the golden corpus.

A folder holds `landing/` documents and `labels.jsonl`: `interaction_id`, `language`, `source` and the source's
`labels` by its own names. Two sources say something that the prompt's rules also say; the rest is not asked.

PolEmo 2.0 (Polish, `sentiment`): positive, neutral and negative are ours. `ambivalent` has no equivalent, for
our rules let the verdict decide; it is left out and counted. It shows how well a clear verdict is read in
Polish reviews, and nothing about chats, mails and calls. Its `neutral` texts are mostly articles, which our
rules call neutral too, but the neutral of a service chat is another matter.

STAR (English chats; both sides are played by people who were paid to) has no status. Two of its facts imply
one of ours:
- `Complete`, and the user says that the goal was reached, in a task that is over with the chat (a balance, a
  ride's status, a booking, a change): `resolved`. Of 50 such chats read here, 46 are plainly so, one is
  plainly not, three can be argued. A report or a request that somebody will look at is `pending` by our
  rules, so those tasks are left out.
- the chat broke off (37 chats): `pending`. Of the 37, some 5 can be argued: the answer had been given.
A goal not reached says nothing: a refusal is `resolved` for us if the customer accepts it, and most do. So
`escalated` never occurs, six in seven are `resolved`, and accuracy alone means little: the recall of each
label is what to look at. About 0.95 is the most that a perfect reader could reach.

STAR's other side says whether the user became aggressive or annoyed (63 did). That is a manner and not our
sentiment, which judges the whole: the share called `negative` should be high among them and far lower among
the others, and neither is an accuracy.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from cs_features.errors import RequestError
from cs_features.quality.evaluation import ALL, compute_wilson_interval
from cs_features.schemas import Interaction, reason_of

# STAR's tasks that are over when the chat is.
DONE_IN_THE_CHAT = frozenset(
    {"bank_balance", "ride_status", "ride_book", "ride_change", "hotel_book", "plane_book", "restaurant_book"}
)
FIELDS = ("sentiment", "resolution_status")

REPORT_SCHEMA = pl.Schema(
    {
        "language": pl.String(),
        "field": pl.String(),
        "measure": pl.String(),
        "among": pl.String(),
        "value": pl.Float64(),
        "low": pl.Float64(),
        "high": pl.Float64(),
        "items": pl.Int64(),
    }
)


@dataclass(frozen=True)
class Expected:
    """What a source's labels say in our terms; `left_out` is why they say nothing."""

    sentiment: str | None = None
    resolution_status: str | None = None
    annoyed: bool | None = None
    left_out: str | None = None


@dataclass(frozen=True)
class Labelled:
    """One text, and what its source says of it."""

    interaction: Interaction
    expected: Expected


def translate_source_labels(source: str, labels: Mapping[str, Any]) -> Expected:
    """The labels of one text in our terms, as this module's docstring explains."""
    if source.startswith("polemo"):
        if labels["sentiment"] == "ambivalent":
            return Expected(left_out="PolEmo: ambivalent, which has no equivalent")
        return Expected(sentiment=labels["sentiment"])
    if source != "star":
        return Expected(left_out=f"{source}: no label that is ours")
    annoyed = _find_source_answer(labels["wizard_questionnaire"], "annoyed")
    if labels["completion"] != "Complete":
        return Expected(resolution_status="pending", annoyed=annoyed)
    goal = [answer for question, answer in labels["user_questionnaire"].items() if "calm" not in question]
    if goal == [True] and DONE_IN_THE_CHAT.issuperset(labels["topic"]):
        return Expected(resolution_status="resolved", annoyed=annoyed)
    if annoyed:
        return Expected(annoyed=True)
    return Expected(left_out="STAR: the outcome implies no status")


def _find_source_answer(questionnaire: Mapping[str, bool], word: str) -> bool | None:
    return next((answer for question, answer in questionnaire.items() if word in question), None)


def load_labelled_interactions(folder: Path, limit: int | None = None) -> tuple[list[Labelled], Counter[str]]:
    """The texts of `folder` that have something to compare, and how many were left out, by reason.

    `limit`: so many of each language at most. They are the first in the order of a hash of their ids, so a
    larger limit keeps what a smaller one has asked.

    Raises:
        RequestError: a file is missing or a line cannot be read.
    """
    path = folder / "labels.jsonl"
    if not path.exists():
        raise RequestError(f"{path} does not exist; the folder must hold landing/ and labels.jsonl")
    left_out: Counter[str] = Counter()
    wanted: dict[str, list[tuple[str, Expected]]] = defaultdict(list)
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            entry = json.loads(line)
            expected = translate_source_labels(entry["source"], entry["labels"])
            identifier, language = entry["interaction_id"], entry["language"]
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(f"{path}:{number}: no label can be read: {error!r}") from None
        if expected.left_out:
            left_out[expected.left_out] += 1
        else:
            wanted[language].append((identifier, expected))
    chosen = {
        identifier: (language, expected)
        for language, entries in sorted(wanted.items())
        for identifier, expected in sorted(entries, key=lambda entry: _hash_source_identifier(entry[0]))[:limit]
    }
    found = _read_labelled_interactions(folder / "landing", chosen.keys())
    if missing := chosen.keys() - found.keys():
        raise RequestError(f"{path}: no document in landing/ has the id {min(missing)}")
    return [
        Labelled(found[identifier].model_copy(update={"language": language}), expected)
        for identifier, (language, expected) in chosen.items()
    ], left_out


def _hash_source_identifier(identifier: str) -> str:
    return hashlib.sha256(identifier.encode()).hexdigest()


def _read_labelled_interactions(landing: Path, wanted: Any) -> dict[str, Interaction]:
    found = {}
    for path in sorted(landing.glob("country=*/date=*/*.jsonl")):
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                interaction = Interaction.model_validate_json(line)
            except ValidationError as error:
                raise RequestError(f"{path}:{number}: {reason_of(error.errors(include_input=False))[1]}") from None
            if str(interaction.interaction_id) in wanted:
                found[str(interaction.interaction_id)] = interaction
    return found


def build_labelled_frame(items: list[Labelled], answers: Mapping[str, Mapping[str, Any] | None]) -> pl.DataFrame:
    """A row an item: `language`, `annoyed`, and for each of `FIELDS` answer and label, null where there is none."""
    rows = []
    for item in items:
        answer = answers.get(str(item.interaction.interaction_id))
        rows.append(
            {
                "language": item.interaction.language,
                "annoyed": item.expected.annoyed,
                **{name: answer[name] if answer else None for name in FIELDS},
                **{f"{name}_label": getattr(item.expected, name) for name in FIELDS},
            }
        )
    columns = ["language", *FIELDS, *(f"{name}_label" for name in FIELDS)]
    return pl.DataFrame(rows, schema={**dict.fromkeys(columns, pl.String()), "annoyed": pl.Boolean()})


def measure_label_agreement(answers: pl.DataFrame) -> pl.DataFrame:
    """How far answers agree with the sources: a row a language, field and measure, with 95 % intervals.

    `among` is the label whose recall it is, or `all`. No answer agrees with nothing.
    """
    rows: list[tuple[Any, ...]] = []
    for (language,), group in sorted(answers.group_by("language"), key=lambda pair: str(pair[0])):

        def add_agreement_share(
            field: str, measure: str, among: str, hits: pl.Series, language: object = language
        ) -> None:
            right, items = int(hits.sum()), hits.len()
            if items:
                rows.append(
                    (language, field, measure, among, right / items, *compute_wilson_interval(right, items), items)
                )

        for field in FIELDS:
            known = group.filter(pl.col(f"{field}_label").is_not_null())
            right = known[field] == known[f"{field}_label"]
            add_agreement_share(field, "accuracy", ALL, right)
            for label in sorted(known[f"{field}_label"].unique()):
                add_agreement_share(field, "recall", label, right.filter(known[f"{field}_label"] == label))
        for annoyed, among in ((True, "annoyed"), (False, "not annoyed")):
            chosen = group.filter(pl.col("annoyed") == annoyed)
            add_agreement_share("sentiment", "called negative", among, chosen["sentiment"] == "negative")
    return pl.DataFrame(rows, schema=REPORT_SCHEMA, orient="row")
