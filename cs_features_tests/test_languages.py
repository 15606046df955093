"""Which language a text is in: right where it can be told, recorded where it disagrees, never in the way."""

import json
from collections import Counter
from pathlib import Path

import pytest

from cs_features import languages
from cs_features.extraction.prompts import load_prompt_folder
from cs_features.landing.documents import join_customers_words
from cs_features.languages import UNDETERMINED, detect_language
from cs_features.quality.golden import load_golden_corpus
from cs_features.schemas import Interaction
from cs_features_tests.support.documents import DAY, document, jsonl
from cs_features_tests.support.lab import PROMPTS, Lab
from cs_features_tests.support.text_tables import read_text_table

PROMPTS_READ = load_prompt_folder(PROMPTS)
REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "landing"


@pytest.mark.heavy
def test_at_least_95_of_100_golden_items_are_detected_among_their_countrys_languages() -> None:
    """The bar of the design. What is missed is Arabic in Latin letters, and mixtures of two languages."""
    right: Counter[str] = Counter()
    items = load_golden_corpus(PROMPTS, PROMPTS_READ)
    for item in items:
        words = join_customers_words(item.as_interaction())
        found = detect_language(words, PROMPTS_READ.countries[item.country].languages)
        right[item.language] += found == item.language
    assert sum(right.values()) / len(items) >= 0.95
    of_each = Counter(item.language for item in items)
    assert all(right[language] >= 0.9 * count for language, count in of_each.items() if language != "ar")
    assert right["ar"] >= 10


@pytest.mark.skipif(not REAL.is_dir(), reason="the real interactions are not part of the project")
def test_at_least_95_of_100_real_polish_and_english_texts_are_detected() -> None:
    right, of_each = Counter(), Counter()
    for path in REAL.rglob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            interaction = Interaction.model_validate(json.loads(line))
            languages = PROMPTS_READ.countries[interaction.country].languages
            of_each[interaction.language] += 1
            right[interaction.language] += (
                detect_language(join_customers_words(interaction), languages) == interaction.language
            )
    assert of_each.keys() == {"pl", "en"}
    assert all(right[language] >= 0.95 * count for language, count in of_each.items())


def test_a_text_is_only_taken_for_a_language_that_its_country_expects() -> None:
    """Among all languages, a short Dutch text is Afrikaans: a country that has no customers who write it."""
    assert detect_language("Ek het my pakkie nog nie gekry nie, waar is dit", ("nl", "en")) == "nl"
    assert detect_language("whatever it says", ("pl",)) == "pl"


def test_a_text_without_letters_is_undetermined() -> None:
    assert detect_language("12:30 ??? 👍", ("nl", "en")) == UNDETERMINED


def test_the_customers_own_words_count_and_not_the_agents() -> None:
    """A Turkish customer whose agent answers in Dutch was counted as Dutch."""
    turns = [
        {"speaker": "customer", "text": "Merhaba, paketim nerede acaba, üç gündür bekliyorum"},
        {"speaker": "agent", "text": "Goedemiddag, ik kijk het even voor u na, een ogenblik geduld alstublieft. " * 3},
    ]
    words = join_customers_words(Interaction.model_validate(document(turns=turns)))
    assert "Goedemiddag" not in words
    assert detect_language(words, PROMPTS_READ.countries["NL"].languages) == "tr"
    silent = document(turns=[{"speaker": "agent", "text": "Goedemiddag, is daar nog iemand?"}])
    assert "Goedemiddag" in join_customers_words(Interaction.model_validate(silent))


def test_a_stated_language_stays_and_the_disagreement_is_recorded(lab: Lab) -> None:
    """A source that stamps `nl` on everything would hide that a third of its customers write Turkish."""
    turkish = [{"speaker": "customer", "text": "Merhaba, paketim nerede acaba, üç gündür bekliyorum"}]
    documents = [
        document(1),
        document(2, turns=turkish, language="nl"),
        document(3, turns=turkish, language="nl"),
        document(4, turns=turkish, language=...),
    ]
    lab.land("NL", DAY, "a.jsonl", jsonl(documents))
    run = lab.process()
    assert run.success
    raw = lab.table("raw_interactions").sort("source_line")
    assert raw.select("language", "language_detected").rows() == [
        ("nl", "nl"),
        ("nl", "tr"),
        ("nl", "tr"),
        ("tr", "tr"),
    ]
    metadata = run.metadata("raw_interactions")
    assert metadata["language_disagreements"] == 2
    assert metadata["languages_detected"] == 1
    (row,) = metadata["languages_stated_and_detected"].records
    assert row.data == {"language": "nl", "language_detected": "tr", "documents": 2}


def test_what_became_of_a_partition_is_told_by_language(lab: Lab) -> None:
    """A country's average hides the one language in which everything is rejected."""
    lab.land(
        "NL", DAY, "a.jsonl", jsonl([document(1), document(2), document(3, language="tr"), document(4, language="12")])
    )
    run = lab.process()
    assert run.success
    told = read_text_table(run.metadata("validated_features")["by_language"])
    rows = {row.pop("language"): {name: float(value) for name, value in row.items()} for row in told}
    assert set(rows) == {"nl", "tr"}
    assert (rows["nl"]["interactions"], rows["nl"]["validated"], rows["nl"]["rejected"]) == (2, 2, 0)
    assert rows["tr"]["language_disagreements"] == 1
    paid = lab.table("llm_extractions")["cost_usd"].sum()
    assert rows["nl"]["cost_usd"] + rows["tr"]["cost_usd"] == pytest.approx(paid, rel=1e-3)
    features = lab.table("validated_features")
    assert sum(row["urgent"] for row in rows.values()) == (features["urgency_score"] >= 0.6).sum()
    assert sum(row["dissatisfied"] for row in rows.values()) == (features["csat_indicator"] <= 0.4).sum()


def test_a_plain_sentence_is_told_without_the_large_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run loaded models of 170 MiB for 1.6 s of CPU, most of them to say that Dutch is Dutch."""
    plausible = ("nl", "en", "de", "pl", "tr", "ar", "fy")
    detectors = languages._build_detectors(plausible)
    assert detectors is not None
    monkeypatch.setattr(languages, "_build_detectors", lambda _: (detectors[0], None))
    assert detect_language("Mijn pakket is nog steeds niet aangekomen, waar blijft het?", plausible) == "nl"


def test_a_word_of_two_megabytes_is_no_work() -> None:
    """The library takes quadratic time in a word: one document held a partition for 14 minutes."""
    assert detect_language("a" * 2_000_000, ("nl", "en")) in ("nl", "en", "xx")
    assert detect_language("waar blijft mijn pakket nou toch " * 60_000, ("nl", "en")) == "nl"


@pytest.mark.heavy
def test_the_first_look_finds_of_every_golden_item_what_all_of_its_words_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """It spares much of the CPU of reading; at 120 characters a Spanish customer who begins in English was English."""
    items = load_golden_corpus(PROMPTS, PROMPTS_READ)
    asked = [
        (join_customers_words(item.as_interaction()), PROMPTS_READ.countries[item.country].languages) for item in items
    ]
    at_a_look = [detect_language(*each) for each in asked]
    monkeypatch.setattr(languages, "_FIRST_LOOK", 3_000)
    assert at_a_look == [detect_language(*each) for each in asked]
