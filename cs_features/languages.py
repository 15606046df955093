"""Which language a text is in, by an offline library, among the languages its country expects."""

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


@lru_cache(maxsize=32)
def _detector(languages: tuple[str, ...]) -> LanguageDetector | None:
    known = {language.iso_code_639_1.name.lower(): language for language in Language.all()}
    plausible = [known[code] for code in languages if code in known]
    return LanguageDetectorBuilder.from_languages(*plausible).build() if len(plausible) > 1 else None


def detect_language(text: str, plausible: Sequence[str]) -> str:
    """ISO 639-1 code, one of `plausible`; `xx` when the text has no letters to tell by.

    Frisian and Galician are unknown to the library: such a text is taken for its neighbour's.
    """
    detector = _detector(tuple(plausible))
    if detector is None:
        return plausible[0]
    found = detector.detect_language_of(text)
    return found.iso_code_639_1.name.lower() if found else UNDETERMINED
