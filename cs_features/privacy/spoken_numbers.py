"""Numbers in words, as a call's transcript has what its customer dictated: "nul zes, twaalf, vierendertig, ...".

So many number words in a row are no date, price or quantity, whatever the languages they are of. Numbers in digits are
`numbers.py`'s.
"""

from collections.abc import Iterator

from cs_features.privacy.linear import LinearPattern, one_of
from cs_features.privacy.spans import Kind, Span

# A telephone in pairs has five words at the least, and one or two of its pairs have more than one.
MIN_WORDS = 6
# Digits may stand among them: "zero six 12 trente-quatre". Of digits alone people make lists.
MIN_SPELLED = 3

_WORDS = r"""
    nul, een, één, twee, drie, vier, vijf, zes, zeven, acht, negen, dubbel, tien, elf, twaalf, dertien, veertien,
    vijftien, zestien, zeventien, achttien, negentien, twintig, dertig, veertig, vijftig, zestig, zeventig, tachtig,
    negentig, \w+en(?:twin|der|veer|vijf|zes|zeven|tach|negen)tig,
    zéro, un, une, deux, trois, quatre, cinq, six, sept, huit, neuf, dix, onze, douze, treize, quatorze, quinze,
    seize, vingt, vingts, trente, quarante, cinquante, soixante, septante, huitante, octante, nonante,
    cero, uno, dos, tres, cuatro, cinco, seis, siete, ocho, nueve, doble, diez, once, doce, trece, catorce, quince,
    dieci\w+, veinte, veinti\w+, treinta, cuarenta, cincuenta, sesenta, setenta, ochenta, noventa, ciento,
    \w+cientos, quinientos,
    zero, jeden, dwa, trzy, cztery, pięć, sześć, siedem, osiem, dziewięć, dziesięć, jedenaście, \w+naście,
    dwadzieścia, trzydzieści, czterdzieści, \w+dziesiąt, sto, dwieście, trzysta, czterysta, pięćset, sześćset,
    siedemset, osiemset, dziewięćset,
    oh, zero, one, two, three, four, five, six, seven, eight, nine, double, triple, ten, eleven, twelve, thirteen,
    fourteen, fifteen, sixteen, seventeen, eighteen, nineteen, twenty, thirty, forty, fourty, fifty, sixty, seventy,
    eighty, ninety,
    null, ein, eins, zwei, zwo, drei, vier, fünf, sechs, sieben, acht, neun, zehn, elf, zwölf, \w+zehn, zwanzig,
    dreißig, \w+und\w+ig, vierzig, fünfzig, sechzig, siebzig, achtzig, neunzig,
    zero, uno, due, tre, quattro, cinque, sei, sette, otto, nove, dieci, undici, dodici, tredici, quattordici,
    quindici, sedici, diciassette, diciotto, diciannove,
    (?:vent|trent|quarant|cinquant|sessant|settant|ottant|novant)\w+,
    zero, um, dois, duas, três, quatro, cinco, seis, meia, sete, oito, nove, dez, onze, doze, treze, quatorze,
    catorze, quinze, deze\w+, deza\w+, dezoito, vinte, trinta, quarenta, cinquenta, sessenta, setenta, oitenta,
    noventa,
    нуль, один, одна, два, дві, три, чотири, п'ять, шість, сім, вісім, дев'ять, десять, \w+надцять, двадцять,
    тридцять, сорок, п'ятдесят, шістдесят, сімдесят, вісімдесят, дев'яносто
"""
_NUMBER = rf"(?:{one_of(_WORDS)}|[0-9]{{1,3}})\b"
_BETWEEN = r"(?:[ ,.;:/-]{1,3}(?:(?:en|et|y|and|und|e|i)[ -])?|\n)"
_RUN = LinearPattern(rf"\b{_NUMBER}(?:{_BETWEEN}{_NUMBER}){{{MIN_WORDS - 1},}}", ignore_case=True)
_SPELLED = LinearPattern(r"[a-z]{2,}", ignore_case=True)
_CONNECTORS = frozenset((b"en", b"et", b"and", b"und"))
SEARCHED = (_RUN,)


def find_spoken_numbers(data: bytes) -> Iterator[Span]:
    for start, end in _RUN.find_spans(data):
        words = [data[first:last].lower() for first, last in _SPELLED.find_spans(data, start=start, end=end)]
        if sum(word not in _CONNECTORS for word in words) >= MIN_SPELLED:
            yield Span(Kind.NUMBER, start, end)
