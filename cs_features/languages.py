"""Which language a text is in, by an offline library: a customer's among those its country expects, or English."""

import re
from collections.abc import Sequence
from functools import lru_cache

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

UNDETERMINED = "xx"

ISO_639_1 = frozenset(
    """
    aa ab ae af ak am an ar as av ay az ba be bg bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en
    eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja
    jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb
    nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq
    sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
    """.split()  # noqa: SIM905
)

# What a summary may be in by mistake: the languages that customers write, as far as they are in Latin letters.
_BESIDE_ENGLISH = ("nl", "fr", "de", "es", "pl", "it", "pt", "ca", "tr", "ro", "eu")
# Words that only English has among them. Where every fifth word is one, the library need not be asked.
_ENGLISH_WORDS = frozenset(
    """
    about after again and another answered asks because been booked but cancel cannot charged complains complaint
    customer customers declined did does for from gets given guest has have her his how informed it its later lost out
    partly pending praised praises refund reports request resolved reversal says sent she still that the their there
    they this to too two unhappy up wait waived wants way were when where which who will with without wrong
    """.split()  # noqa: SIM905
)
_ENOUGH_WORDS = 0.2
# Measured on 216 English summaries with foreign names, and 144 in 21 other languages, with the library's small models,
# of those that the words do not tell and that are long enough: the least English had 0.18, the most English of the
# others 0.04.
_ENOUGH_CONFIDENCE = 0.1
# With the small models a text of a sentence is told in no time; loading all models of six languages takes 1.6 s of CPU
# and 170 MiB, in each run anew. Of 1,576 texts (golden corpus and real interactions, 156 of them under 120 characters)
# 99 % reach this confidence, and of all of those both say the same; at 0.7 they differed twice.
_SURE_CONFIDENCE = 0.9
# The library's time grows with the text. Of 1,603 texts (as above) 98 % are told at a first look, none of them
# otherwise than by all of its words; at 120 characters one was, whose writer begins in another language.
_FIRST_LOOK = 160
_CERTAIN_CONFIDENCE = 0.99
_ENOUGH_LETTERS = 20  # below that nothing can be told
_ENOUGH_SAMPLE = 3_000
_LONGEST_WORD = 60
_ENOUGH_CHARACTERS = 400  # no summary is longer, and the library's time grows with the text


def is_english(text: str) -> bool:
    """Whether a text is in English, or too short to tell; names in other languages do not make it foreign."""
    text = text[:_ENOUGH_CHARACTERS]
    letters = "".join(filter(str.isalpha, text))
    if not letters.isascii() and 2 * sum(map(str.isascii, letters)) < len(letters):
        return False
    if len(letters) < _ENOUGH_LETTERS:
        return True
    words = re.findall(r"[a-z']+", text.lower())
    if sum(word in _ENGLISH_WORDS for word in words) >= _ENOUGH_WORDS * len(words):
        return True
    detector = load_small_detector()
    return detector.compute_language_confidence(text, Language.ENGLISH) >= _ENOUGH_CONFIDENCE


@lru_cache(maxsize=1)
def load_small_detector() -> LanguageDetector:
    """The library's small models: 0.2 s of CPU and 23 MiB, where the large ones of so many languages take 3.5 s and
    300 MiB. One unusual summary would cost a run as much as three thousand calls."""
    languages = list_known_languages(("en", *_BESIDE_ENGLISH))
    return (
        LanguageDetectorBuilder.from_languages(*languages)
        .with_low_accuracy_mode()
        .with_preloaded_language_models()
        .build()
    )


@lru_cache(maxsize=32)
def _build_detectors(languages: tuple[str, ...]) -> tuple[LanguageDetector, LanguageDetector] | None:
    """The library with its small models, and with all of them, which are loaded when they are first needed."""
    plausible = list_known_languages(languages)
    if len(plausible) < 2:
        return None
    builder = LanguageDetectorBuilder.from_languages(*plausible)
    return builder.with_low_accuracy_mode().build(), LanguageDetectorBuilder.from_languages(*plausible).build()


def list_known_languages(codes: Sequence[str]) -> list[Language]:
    """Those of the ISO 639-1 codes that the library has a model of."""
    known = {language.iso_code_639_1.name.lower(): language for language in Language.all()}
    return [known[code] for code in codes if code in known]


def _take_text_sample(text: str) -> str:
    """As much as is needed: the library takes quadratic time in a word, and a word of two megabytes took 14 minutes."""
    if len(text) > _ENOUGH_SAMPLE:
        text = text[:_ENOUGH_SAMPLE]
    words = text.split()
    if max(map(len, words), default=0) <= _LONGEST_WORD:
        return text
    return " ".join(word[:_LONGEST_WORD] for word in words)


def detect_language(text: str, plausible: Sequence[str]) -> str:
    """ISO 639-1 code, one of `plausible`; `xx` when the text has no letters to tell by.

    Frisian and Galician are unknown to the library: such a text is taken for its neighbour's.
    """
    detectors = _build_detectors(tuple(plausible))
    if detectors is None:
        return plausible[0]
    small, large = detectors
    sample = _take_text_sample(text)
    (likeliest, *_) = small.compute_language_confidence_values(sample[:_FIRST_LOOK])
    if likeliest.value < _CERTAIN_CONFIDENCE and len(sample) > _FIRST_LOOK:
        (likeliest, *_) = small.compute_language_confidence_values(sample)
    found = likeliest.language if likeliest.value >= _SURE_CONFIDENCE else large.detect_language_of(sample)
    return found.iso_code_639_1.name.lower() if found else UNDETERMINED
