"""HTML and encoded files in what people wrote: out, the words in, a line a block.

Only real markup counts: `<3` and `a < b` are words. Not here: whose mail quotes whose (`mail.py`).
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

# A known tag, with nothing in it but attributes: what a customer types between angle brackets is none.
_MARKUP = re.compile(
    r"""
    <!doctype\s+html | <!--\[if\s
    | </?(?:html|head|body|style|div|p|br|span|font|center|table|tbody|tr|td|ul|ol|li|blockquote|h[1-6]|hr|img|a|pre)
      (?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s<>"']+))* \s*/?>
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TAG = re.compile(r"<(/?)(?!(?:br|img|hr|meta|link|input|col)\b)[a-z]", re.IGNORECASE)
# A parser of HTML 5 takes quadratic time in depth, and no mail program nests a tenth of it.
_MAX_DEPTH = 300
_MAX_SPARED = 4  # how often the words of the whole are read to tell whether they are spared

_BLOCKS = (
    "address,article,aside,blockquote,br,center,dd,div,dl,dt,fieldset,figure,footer,form,h1,h2,h3,h4,h5,h6,header,"
    "hr,li,main,nav,ol,p,pre,section,table,tr,ul"
)
_INVISIBLE = "head,style,script,title,template,[hidden],[style*='display:none'],[style*='display: none']"
# What stands for a line's end, and for the ends of what is left out, while the words are still in one string.
_BREAK = "\x1e"
_HIDDEN, _HIDDEN_END, _UNWANTED, _UNWANTED_END = "\x02", "\x03", "\x04", "\x05"
_MARKS_AROUND_UNWANTED = str.maketrans("", "", _UNWANTED + _UNWANTED_END)
_MARKS = str.maketrans(dict.fromkeys((_BREAK, _HIDDEN, _HIDDEN_END, _UNWANTED, _UNWANTED_END), " "))

_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.=+-]+)*;base64,[A-Za-z0-9+/=\s]*")
# An attachment as mail carries it, line by line, or in one line.
# It begins where a run begins: tried at each of its characters, lines that are a little too short take minutes.
_ENCODED = re.compile(
    r"(?<![A-Za-z0-9+/])(?:(?:[A-Za-z0-9+/]{40,}\r?\n){7,}[A-Za-z0-9+/]*={0,2}|[A-Za-z0-9+/]{400,}={0,2})"
)


def has_html_markup(text: str) -> bool:
    """Whether a program wrote the text as HTML, and it can be taken apart in reasonable time."""
    return _MARKUP.search(text) is not None and _measure_markup_depth(text) <= _MAX_DEPTH


def mark_markup_text(
    html: str,
    unwanted: str = "",
    unwanted_from: Iterable[str] = (),
    spare: Callable[[str], bool] = lambda words: False,
) -> str:
    """The words of HTML with marks around those that nobody sees, and around those that the caller does not want.

    Unwanted is what `unwanted`, CSS selectors, select, and what follows the first of each of `unwanted_from` in its
    element, unless `spare` says of its words that they belong here. Parsed once: what is read of it is decided later.
    """
    # Most texts are no HTML, and a run that sees none needs no parser.
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(html.translate(_MARKS))
    # Marked and not taken out of the tree: an element may lie in another that is left out, too.
    for node in tree.css(_INVISIBLE):
        _put_around(node, _HIDDEN, _HIDDEN_END)
    unread = _MAX_SPARED * len(html)
    for node in [*(tree.css(unwanted) if unwanted else []), *_list_following_nodes(tree, unwanted_from)]:
        # An element in an element in an element has the same words each time.
        words = node.text() if unread > 0 else ""
        unread -= len(words)
        if not spare(words.lstrip(_HIDDEN + _UNWANTED)):
            _put_around(node, _UNWANTED, _UNWANTED_END)
    for node in tree.css(_BLOCKS):
        _put_around(node, _BREAK, _BREAK)
    for node in tree.css("td,th"):
        node.insert_after(" ")
    return tree.body.text() if tree.body else ""


def read_wanted_words(marked: str) -> str:
    """What is seen and wanted, a line a block."""
    return _lay_out(_leave_out_nodes(marked, _HIDDEN + _UNWANTED, _HIDDEN_END + _UNWANTED_END))


def read_visible_words(marked: str) -> str:
    """All that is seen, a line a block."""
    return _lay_out(_leave_out_nodes(marked, _HIDDEN, _HIDDEN_END).translate(_MARKS_AROUND_UNWANTED))


def _put_around(node: Any, before: str, after: str) -> None:
    node.insert_before(before)
    node.insert_after(after)


def _list_following_nodes(tree: Any, selectors: Iterable[str]) -> list[Any]:
    """The elements behind the first of each selector. The parser's own `~` takes quadratic time in them."""
    followers = []
    for selector in selectors:
        node = tree.css_first(selector)
        while node is not None and (node := node.next) is not None:
            if node.tag != "-text":
                followers.append(node)
    return followers


def remove_encoded_files(text: str) -> str:
    """The text without images and attachments in base64; unchanged where there are none."""
    if "base64," in text:
        text = _DATA_URI.sub("", text)
    return _ENCODED.sub(_drop_encoded_data, text)


def _leave_out_nodes(text: str, starts: str, ends: str) -> str:
    kept, depth = [], 0
    for part in re.split(f"([{starts}{ends}])", text):
        if part and part in starts:
            depth += 1
        elif part and part in ends:
            depth -= 1
        elif depth == 0:
            kept.append(part)
    return "".join(kept)


def _lay_out(words: str) -> str:
    collapsed = (" ".join(line.split()) for line in words.split(_BREAK))
    return "\n".join(line for line in collapsed if line)


def _drop_encoded_data(found: "re.Match[str]") -> str:
    # A long word, a row of a's and a number are no file: base64 has all three kinds of characters.
    run = found[0]
    mixed = re.search("[a-z]", run) and re.search("[A-Z]", run) and re.search("[0-9]", run)
    return "" if mixed else run


def _measure_markup_depth(text: str) -> int:
    depth = deepest = 0
    for slash in _TAG.findall(text):
        depth = max(0, depth - 1) if slash else depth + 1
        deepest = max(deepest, depth)
    return deepest
