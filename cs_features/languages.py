"""Which language a text is in, by an offline library, among the languages its country expects."""

from collections.abc import Sequence
from functools import lru_cache

from lingua import Language, LanguageDetector, LanguageDetectorBuilder

UNDETERMINED = "xx"


@lru_cache(maxsize=32)
def _detector(languages: tuple[str, ...]) -> LanguageDetector | None:
    known = {language.iso_code_639_1.name.lower(): language for language in Language.all()}
    plausible = [known[code] for code in languages if code in known]
    return LanguageDetectorBuilder.from_languages(*plausible).build() if len(plausible) > 1 else None


def detect_language(text: str, plausible: Sequence[str]) -> str:
    """ISO 639-1 code, one of `plausible`; `xx` when the text has no letters to tell by."""
    detector = _detector(tuple(plausible))
    if detector is None:
        return plausible[0]
    found = detector.detect_language_of(text)
    return found.iso_code_639_1.name.lower() if found else UNDETERMINED
