"""Whether a text looks like an attempt to tell the model what to answer, rather than a company what went wrong.

A mark for people who look at what the model made of it: nothing is dropped or changed for it, and a text without a
mark is trusted no more. What keeps such a text from acting stands in `extraction/envelope.py`.
"""

from collections.abc import Iterable

from cs_features.privacy.folding import TURN_END, fold_text
from cs_features.privacy.linear import LinearPattern, one_of

_READ = 60_000  # characters; an attempt beyond what the model is told is none
# What a reader does not see and a model reads: the alphabets of tags and of shapes, and directions that turn words.
_HIDDEN = frozenset(
    [*map(chr, range(0xE0020, 0xE0080)), *map(chr, range(0xE0100, 0xE01F0)), *"\u202d\u202e\u2066\u2067\u2068"]
)

_FORGET = one_of(
    r"""
    ignore\w*, disregard\w*, forget\w*, override\w*, bypass\w*, do not follow, negeer\w*, vergeet\w*, ignorez,
    ignorer, oublie\w*, ne tiens pas compte, ne tenez pas compte, ignora\w*, ignore, olvida\w*, haz caso omiso,
    omite, zignoruj\w*, ignoruj\w*, zapomnij\w*, pomiń, ignoriere\w*, vergiss\w*, missachte\w*, dimentica\w*,
    trascura, esqueça, esqueca, desconsidere, yoksay\w*, görmezden gel\w*, unut\w*, ігноруй\w*, забудь\w*,
    проігноруй\w*, تجاهل, انس
    """
)
_ORDERS = one_of(
    r"""
    instruction\w*, instructie\w*, instrucc\w*, instrukc\w*, anweisung\w*, istruzion\w*, instruç\w*, instruccions,
    talimat\w*, інструкц\w*, вказівк\w*, تعليمات, التعليمات, prompt\w*, system prompt, rules, regels, règles,
    reglas, zasad\w*, regeln, regole, regras, kural\w*, правила, polece\w*, consignes, órdenes, opdracht\w*,
    guidelines, directives, vorgaben
    """
)
_SHOWN = one_of(
    r"""
    record_features, urgency_score, resolution_status, csat_indicator, primary_topic, system prompt, systeemprompt,
    prompt système, prompt del sistema, systemprompt, prompt systemowy, tool_result, tool_use, tool result,
    function_call, developer mode, jailbreak\w*, do anything now, you are now, je bent nu, tu es maintenant, vous
    êtes maintenant, ahora eres, jesteś teraz, du bist jetzt, ora sei, agora você é, artık sen, тепер ти, أنت الآن,
    as an ai, language model, taalmodel, modèle de langage, modelo de lenguaje, model językowy, sprachmodell,
    modello linguistico, modelo de linguagem, dil modeli, мовна модель, نموذج لغوي, im_start, im_end, im_sep,
    endoftext, begin system, end of interaction, end of text, new instructions, nieuwe instructies, nouvelles
    instructions, nuevas instrucciones, nowe instrukcje, neue anweisungen, nuove istruzioni, novas instruções, yeni
    talimatlar, нові інструкції, تعليمات جديدة
    """
)
_LABEL = one_of(
    r"""
    mark, set, label, classify, rate, record, report, answer, output, markeer, zet, stel, registreer, marque\w*,
    mets, mettez, classe\w*, enregistre\w*, marca\w*, pon, clasifica\w*, registra\w*, oznacz\w*, ustaw\w*, zapisz,
    markiere, setze, setz, stufe, segna\w*, imposta\w*, marque, defina, işaretle\w*, ayarla\w*, познач\w*,
    встанов\w*, ضع, اجعل, صنف, write, put, schrijf, écris, écrivez, escribe, napisz, schreibe, scrivi, escreva, yaz,
    напиши, اكتب
    """
)
_FIELDS = one_of(
    r"""
    sentiment, sentimiento, sentyment\w*, stimmung, sentimento, duygu\w*, тональність, المشاعر, urgency, urgentie,
    urgence, urgencia, pilność, pilnosc, dringlichkeit, urgenza, urgência, aciliyet, терміновість, الاستعجال, csat,
    resolved, opgelost, résolu, resuelto, resuelta, rozwiązan\w*, gelöst, risolto, resolvido, çözüldü, вирішено,
    summary, samenvatting, résumé, resumen, podsumowani\w*, zusammenfassung, riassunto, resumo, özet\w*, підсумок,
    ملخص, الملخص, محلول
    """
)
_EXACTLY = one_of(
    """
    exactly, literally, nothing else, letterlijk, exact, verder niets, exactement, rien d'autre, exactamente,
    literalmente, nada más, dokładnie, nic więcej, genau, wörtlich, sonst nichts, esattamente, nient'altro, exatamente,
    mais nada, tam olarak, точно, дослівно, нічого, حرفيا, فقط
    """
)
_ATTEMPT = LinearPattern(
    rf"\b{_FORGET}\b.{{0,60}}\b{_ORDERS}\b|\b{_ORDERS}\b.{{0,40}}\b{_FORGET}\b"
    rf"|\b{_SHOWN}\b"
    rf"|\b{_LABEL}\b.{{0,60}}\b{_FIELDS}\b.{{0,40}}(?:\b(?:as|to|op|à|a|na|auf|su|em|olarak|як|is|=)\b|[0-9:=]|\b{_EXACTLY}\b)"
    rf"|\b{_EXACTLY}\b.{{0,40}}\b{_FIELDS}\b|\b(?:base ?64|rot ?13|hex) ?[:=]"
    rf"|[<(\"&;~/] ?/? ?interaction|\[/?inst\]|<</?sys>>|</?(?:system|assistant|tool|user|instructions?)\b"
    r"|\n ?(?:agent|system|assistant|user|human|customer) ?:|\"?role\"? ?: ?\"?(?:system|assistant)"
    r"|### ?(?:system|instruction)"
    rf"|={{3,}} ?(?:system|end|begin)|-{{3,}} ?(?:end|begin|system)",
    ignore_case=True,
)


def looks_like_injection(texts: Iterable[str]) -> bool:
    """Whether any of an interaction's texts speaks to the model, shows our own field names or forges another turn."""
    text = TURN_END.join(texts).replace("\r", "\n")
    if len(text) > 2 * _READ:
        text = text[:_READ] + TURN_END + text[-_READ:]
    if not _HIDDEN.isdisjoint(text):
        return True
    return _ATTEMPT.search_span(fold_text(text).data) is not None
