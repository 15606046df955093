"""The pictures in Dagster's metadata: small, right, and without a customer's text."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import polars as pl
import pytest

from cs_features.extraction.prompts import load_prompt_folder
from cs_features.monitoring.distributions import Distribution, count_feature_distributions
from cs_features.orchestration import plots
from cs_features.schemas import Extraction
from cs_features_tests.support.customers import WEEK, customers, moved
from cs_features_tests.support.lab import PROMPTS
from cs_features_tests.support.pictures import picture

pytestmark = pytest.mark.heavy

LIMIT = 150_000  # bytes of Markdown: each is a row of the event log


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that were drawn, to be asked what is on them."""
    figures: list[Any] = []
    encode = plots.encode_png
    monkeypatch.setattr(plots, "encode_png", lambda figure: figures.append(figure) or encode(figure))
    return figures


def texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_a_confusion_has_right_answers_on_its_diagonal_whatever_was_answered(drawn: list[Any]) -> None:
    """The answers came in the order in which they were first given, and the diagonal was anywhere."""
    counts = pl.DataFrame({"label": ["a", "b", "c"], "none": [0, 1, 0], "c": [0, 0, 7], "a": [5, 2, 0]})
    image = picture(plots.draw_confusion(counts, "sentiment, nl-BE, 15 items"))
    (axes,) = drawn[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c", "none"]
    assert {(*text.get_position(), text.get_text()) for text in axes.texts} == {
        (0, 0, "5"),
        (0, 1, "2"),
        (3, 1, "1"),
        (2, 2, "7"),
    }
    assert drawn[0].get_suptitle() == "sentiment, nl-BE, 15 items"
    assert image.width > 200


def test_a_confusion_without_items_is_a_sentence() -> None:
    """A locale without answers failed in its picture, and its figures were lost with it."""
    assert (
        plots.draw_confusion(pl.DataFrame({"label": []}, schema={"label": pl.String}), "intent")
        == "intent: nothing to show"
    )
    assert picture(plots.draw_confusion(pl.DataFrame({"label": ["a"]}), "nothing answered")).width


def test_the_largest_pictures_are_small_enough_for_the_event_log() -> None:
    """A picture of a megabyte a week and country makes Dagster's database a store of pictures."""
    topics = list(load_prompt_folder(PROMPTS).answer_model.model_json_schema()["properties"]["primary_topic"]["enum"])
    generator = np.random.default_rng(1)
    counts = pl.DataFrame({"label": topics, **{name: generator.integers(0, 999, len(topics)) for name in topics}})
    heat = plots.draw_confusion(counts, "primary_topic")
    weeks = customers(1, shares=moved(WEEK, 15))
    panels = plots.draw_distributions(
        count_feature_distributions(*weeks)[0], "NL week of 2026-11-16: 2,000 interactions against 16,000"
    )
    assert max(len(heat), len(panels)) < LIMIT
    assert min(picture(heat).width, picture(panels).width) > 700


def test_each_feature_has_a_panel_and_what_drifted_stands_out(drawn: list[Any]) -> None:
    panels = count_feature_distributions(*customers(2, 50))[0]
    plots.draw_distributions(panels, "NL", frozenset({"sentiment"}))
    titles = [axes.get_title() for axes in drawn[0].axes if axes.get_visible()]
    assert titles == [
        "sentiment: drifted",
        "primary_topic",
        "intent",
        "resolution_status",
        "urgency_score",
        "csat_indicator",
        "length of summary",
        "language",
        "channel",
    ]


def test_bars_and_steps_are_the_shares(drawn: list[Any]) -> None:
    """A picture that contradicts the table beside it is worse than none."""
    week, baseline = np.array([1.0, 3.0]), np.array([60.0, 40.0])
    sentiment = Distribution("sentiment", ["a", "b"], week, baseline, week, np.zeros((0, 2)))
    score = Distribution("urgency_score", [0.0, 1.0], week, baseline, week, np.zeros((0, 2)))
    plots.draw_distributions([sentiment, score], "two")
    bars, steps, *_ = drawn[0].axes
    assert [[bar.get_width() for bar in group] for group in bars.containers] == [[0.75, 0.25], [0.4, 0.6]]
    assert [label.get_text() for label in bars.get_yticklabels()] == ["b", "a"]
    of_baseline, of_week = (patch.get_data().values for patch in steps.patches)
    assert (of_baseline[0], of_baseline[-1], of_week[0], of_week[-1]) == (0.6, 0.4, 0.25, 0.75)


def test_many_values_are_pooled_and_none_is_lost(drawn: list[Any]) -> None:
    """Forty languages in one panel could not be read."""
    counts = np.arange(40.0)
    many = Distribution("language", [f"l{n}" for n in range(40)], counts, counts, counts, np.zeros((0, 40)))
    plots.draw_distributions([many], "many")
    week, _ = drawn[0].axes[0].containers
    assert len(week) == plots.MAX_BARS
    assert sum(bar.get_width() for bar in week) == pytest.approx(1)
    assert drawn[0].axes[0].get_yticklabels()[-1].get_text() == "26 others"


def test_an_empty_week_has_a_picture_too() -> None:
    week, baseline = customers(3, 5)
    for frames in ((week.clear(), baseline), (week, baseline.clear()), (week.clear(), baseline.clear())):
        assert picture(plots.draw_distributions(count_feature_distributions(*frames)[0], "empty")).width


def test_no_text_of_a_customer_is_in_a_picture(drawn: list[Any]) -> None:
    """Summaries are about people; of them the picture has lengths."""
    secret = "Jan Jansen lost his parcel"
    week, baseline = (frame.with_columns(summary=pl.lit(secret)) for frame in customers(4, 20))
    plots.draw_distributions(count_feature_distributions(week, baseline)[0], "NL")
    shown = [text.get_text() for text in drawn[0].findobj(lambda artist: hasattr(artist, "get_text"))]
    assert any("summary" in text for text in shown)
    assert not any("Jan" in text for text in shown)
    assert "summary" in Extraction.model_fields


def test_pictures_can_be_drawn_at_the_same_time() -> None:
    """pyplot has one current figure a process, and two runs drew into each other's."""
    counts = [pl.DataFrame({"label": ["a", "b"], "a": [n, 0], "b": [0, n]}) for n in range(8)]
    alone = [plots.draw_confusion(each, "same") for each in counts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda each: plots.draw_confusion(each, "same"), counts)) == alone
