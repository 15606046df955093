"""Whether the intervals of the corrected figures cover, and how wide they are, over a grid of countries that might be.

Each draw is a sample of labels from a population whose true figure is known. Everything goes through the functions
that make `country_report`; beside the corrected figure stand what answers alone and labels alone would say.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from cs_features.local.bench.figures import Figure, Say, as_percent, at_least, at_most
from cs_features.review.agreement import differ, estimate_alpha, measure_krippendorff_alpha
from cs_features.review.corrected import LEAST_OF_LANGUAGE
from cs_features.review.estimates import (
    Estimate,
    correlate_score_ranks,
    estimate_corrected_mean,
    estimate_corrected_share,
    estimate_labelled_mean,
    estimate_labelled_share,
    estimate_naive_share,
)
from cs_features.review.sampling import allocate_random_items

DRAWS, QUICK_DRAWS = 2_000, 100
POPULATION = 10_000
PREVALENCES, ACCURACIES, LABELS = (0.02, 0.05, 0.3), (0.6, 0.7, 0.8, 0.9, 0.97), (50, 150, 300)
RANKED, DOUBLED = (0.3, 0.6, 0.9), (30, 60, 120)  # correlations; items that two readers were given
CORRELATIONS = (0.0, 0.4, 0.7, 0.95)
GOOD, USEFUL_LABELS = 0.7, 150  # where the model has to save labels
MEAN, SPREAD = 0.45, 0.25  # of scores


@dataclass
class Cell:
    """What was seen of one place of the grid."""

    name: str
    covered: list[bool] = field(default_factory=list)
    naive: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)

    def add(self, truth: float, corrected: Estimate, naive: Estimate, alone: Estimate) -> None:
        self.covered.append(corrected.low <= truth <= corrected.high)
        self.naive.append(naive.low <= truth <= naive.high)
        self.widths.append(corrected.width)
        self.alone.append(alone.width)

    @property
    def coverage(self) -> float:
        return float(np.mean(self.covered))

    @property
    def relative_width(self) -> float:
        return float(np.mean(self.widths) / np.mean(self.alone))


def measure_review(quick: bool, say: Say) -> list[Figure]:
    draws = QUICK_DRAWS if quick else DRAWS
    random = np.random.default_rng(20261127)
    shares = [simulate_share(*place, draws, random) for place in product(PREVALENCES, ACCURACIES, LABELS)]
    say(f"{len(shares)} places of shares, {draws} draws each")
    means = [simulate_mean(*place, draws, random) for place in product(CORRELATIONS, LABELS)]
    say(f"{len(means)} places of means")
    languages = [simulate_languages(labels, draws, random) for labels in LABELS]
    say(f"{len(languages)} places of two languages")
    few = [simulate_share(*place, LEAST_OF_LANGUAGE, draws, random) for place in product(PREVALENCES, ACCURACIES)]
    few_means = [simulate_mean(correlation, LEAST_OF_LANGUAGE, draws, random) for correlation in CORRELATIONS]
    ranks = [simulate_ranks(correlation, labels, draws, random) for correlation, labels in product(RANKED, LABELS)]
    agreement = [simulate_alpha(items, draws // 10, random) for items in DOUBLED]
    say("places of few labels, of ranks and of agreement")
    good = simulate_share(0.3, find_accuracy(0.3, GOOD), USEFUL_LABELS, draws, random)
    useless = simulate_share(0.3, 0.5, USEFUL_LABELS, draws, random)
    return [
        *_judge_coverage("shares", shares),
        *_judge_coverage("means of scores", means),
        *_judge_coverage("shares of two languages drawn at different rates", languages),
        *_judge_coverage(f"shares of a language with {LEAST_OF_LANGUAGE} labels", few),
        *_judge_coverage(f"means of a language with {LEAST_OF_LANGUAGE} labels", few_means),
        *_judge_coverage("rank correlations at unequal weights", ranks),
        *_judge_coverage("agreement of two readers, a tenth of the draws", agreement, at_worst=0.85),
        at_most("width of shares to labels alone, correlation 0.7, 150 labels", good.relative_width, 0.8, as_percent),
        at_most("the same, model useless", useless.relative_width, 1.05, as_percent),
        at_most(
            "width of means to labels alone, correlation 0.7, 150 labels", _find(means, "0.7, 150"), 0.8, as_percent
        ),
        at_most("the same, model useless", _find(means, "0.0, 150"), 1.05, as_percent),
        at_least(
            "narrowest interval of all draws", min(min(cell.widths) for cell in (*shares, *means)), 1e-6, as_percent
        ),
    ]


def _find(cells: Sequence[Cell], name: str) -> float:
    return next(cell.relative_width for cell in cells if cell.name == name)


def _judge_coverage(what: str, cells: Sequence[Cell], at_worst: float = 0.90) -> Iterator[Figure]:
    covered = float(np.mean([cell.coverage for cell in cells]))
    worst = min(cells, key=lambda cell: cell.coverage)
    naive = [np.mean(cell.naive) for cell in cells if cell.naive]
    note = f"naive {as_percent(float(np.mean(naive)))}" if naive else ""
    yield at_least(f"{what}: truth within the interval", covered, 0.93, as_percent, note)
    yield at_least(f"{what}: worst place", worst.coverage, at_worst, as_percent, worst.name)


def simulate_share(prevalence: float, accuracy: float, labels: int, draws: int, random: np.random.Generator) -> Cell:
    """A value that `prevalence` of a population have, answered right at `accuracy`, whichever way it is."""
    cell = Cell(f"prevalence {prevalence}, accuracy {accuracy:.2f}, {labels} labels")
    have = round(prevalence * POPULATION)
    right, wrong = round(accuracy * have), round((1 - accuracy) * (POPULATION - have))
    counts = [right, have - right, wrong, POPULATION - have - wrong]
    share_said, weights = (right + wrong) / POPULATION, np.ones(labels)
    kinds_said, kinds_meant = np.array([True, False, True, False]), np.array([True, True, False, False])
    naive = estimate_naive_share(share_said, POPULATION)
    for drawn in random.multivariate_hypergeometric(counts, labels, size=draws):
        said, meant = np.repeat(kinds_said, drawn), np.repeat(kinds_meant, drawn)
        corrected = estimate_corrected_share(said, meant, weights, share_said)
        cell.add(have / POPULATION, corrected, naive, estimate_labelled_share(meant, weights))
    return cell


def simulate_languages(labels: int, draws: int, random: np.random.Generator) -> Cell:
    """A country of two languages, the small one drawn at a higher rate and answered worse: weights must see to it."""
    cell = Cell(f"two languages, {labels} labels")
    heights = {"nl": POPULATION * 9 // 10, "en": POPULATION // 10}
    counts = allocate_random_items(heights, labels)
    meant = {language: random.random(height) < 0.3 + 0.3 * (language == "en") for language, height in heights.items()}
    wrong = {language: random.random(height) < 0.1 + 0.3 * (language == "en") for language, height in heights.items()}
    said = {language: meant[language] ^ wrong[language] for language in heights}
    truth, share_said = (float(np.concatenate(list(each.values())).mean()) for each in (meant, said))
    weights = np.concatenate([np.full(count, heights[language] / count) for language, count in counts.items()])
    naive = estimate_naive_share(share_said, POPULATION)
    for _ in range(draws):
        chosen = {
            language: random.choice(heights[language], count, replace=False) for language, count in counts.items()
        }
        drawn_said = np.concatenate([said[language][rows] for language, rows in chosen.items()])
        drawn_meant = np.concatenate([meant[language][rows] for language, rows in chosen.items()])
        corrected = estimate_corrected_share(drawn_said, drawn_meant, weights, share_said)
        cell.add(truth, corrected, naive, estimate_labelled_share(drawn_meant, weights))
    return cell


def find_accuracy(prevalence: float, correlation: float) -> float:
    """The accuracy at which answers and labels correlate so."""
    grid = np.linspace(0.5, 0.999, 5_000)
    said = prevalence * grid + (1 - prevalence) * (1 - grid)
    both = prevalence * grid - prevalence * said
    found = both / np.sqrt(prevalence * (1 - prevalence) * said * (1 - said))
    return float(grid[np.argmin(np.abs(found - correlation))])


def simulate_mean(correlation: float, labels: int, draws: int, random: np.random.Generator) -> Cell:
    """A score whose answers are too high by a tenth and correlate so with labels on a list of tenths."""
    cell = Cell(f"{correlation}, {labels}")
    truth, answers = _make_scores(correlation, POPULATION, random)
    weights, mean_said = np.ones(labels), float(answers.mean())
    half = 1.96 * float(answers.std()) / np.sqrt(POPULATION)
    naive = Estimate(mean_said, mean_said - half, mean_said + half)
    for _ in range(draws):
        chosen = random.choice(POPULATION, labels, replace=False, shuffle=False)
        said, meant = answers[chosen], truth[chosen]
        corrected = estimate_corrected_mean(said, meant, weights, mean_said)
        cell.add(float(truth.mean()), corrected, naive, estimate_labelled_mean(meant, weights))
    return cell


def _make_scores(correlation: float, rows: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Labels on a list of tenths, and answers that are too high by a tenth and correlate so with them."""
    latent, noise = random.standard_normal((2, rows))
    truth = np.clip(np.round(MEAN + SPREAD * latent, 1), 0, 1)
    return truth, np.clip(MEAN + 0.1 + SPREAD * (correlation * latent + np.sqrt(1 - correlation**2) * noise), 0, 1)


def simulate_ranks(correlation: float, labels: int, draws: int, random: np.random.Generator) -> Cell:
    """A country of two languages; the small one is drawn at a higher rate and ranked worse."""
    cell = Cell(f"rank correlation {correlation}, {labels} labels")
    heights = {"nl": POPULATION * 9 // 10, "en": POPULATION // 10}
    scores = {
        "nl": _make_scores(correlation, heights["nl"], random),
        "en": _make_scores(correlation / 3, heights["en"], random),
    }
    counts = allocate_random_items(heights, labels)
    weights = np.concatenate([np.full(count, heights[language] / count) for language, count in counts.items()])
    everything = [np.concatenate([each[place] for each in scores.values()]) for place in (0, 1)]
    truth = correlate_score_ranks(everything[1], everything[0], np.ones(POPULATION))
    assert truth is not None
    for _ in range(draws):
        chosen = {
            language: random.choice(heights[language], count, replace=False) for language, count in counts.items()
        }
        meant, said = (
            np.concatenate([scores[language][place][rows] for language, rows in chosen.items()]) for place in (0, 1)
        )
        found = correlate_score_ranks(said, meant, weights)
        if found is not None:
            cell.covered.append(found.low <= truth.value <= found.high)
    return cell


def simulate_alpha(items: int, draws: int, random: np.random.Generator) -> Cell:
    """Two readers who both see one of three values rightly in 85 of 100 items, and any of them otherwise."""
    cell = Cell(f"{items} items")
    meant = random.choice(3, POPULATION, p=[0.2, 0.3, 0.5])
    guessed, is_seen = random.choice(3, (2, POPULATION)), random.random((2, POPULATION)) < 0.85
    read = np.where(is_seen, meant, guessed).T.tolist()
    truth = measure_krippendorff_alpha(read, differ)
    for _ in range(draws):
        found = estimate_alpha([read[place] for place in random.choice(POPULATION, items, replace=False)], differ)
        if found is not None and found.low is not None and found.high is not None and truth is not None:
            cell.covered.append(found.low <= truth <= found.high)
    return cell
