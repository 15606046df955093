"""The turns of an interaction as a person would read them: the one text that the model is told, that is measured and
cut, and by whose words the language is detected. The payload keeps the original.

Each step gives way where it would leave nothing to read, so no customer's words are lost to it; what no step concerns
comes out byte for byte as it came.
"""

from cs_features.schemas import Interaction, Turn, says_something_readable
from cs_features.utterances.mail import (
    QUOTED_ELEMENTS,
    QUOTED_FROM_HERE,
    SIGNATURE_ELEMENTS,
    is_forwarded_mail,
    remove_mail_signature,
    remove_quoted_thread,
)
from cs_features.utterances.markup import (
    has_html_markup,
    mark_markup_text,
    read_visible_words,
    read_wanted_words,
    remove_encoded_files,
)

# Longer than any mail without its attachments; what is longer is read as it is, because the words that are kept of it
# are a small part, and taking it apart would take seconds.
MAX_CLEANED = 300_000
MAX_CLEANED_TURNS = 200  # more are no mails, and a parser made for each of twenty thousand takes seconds


def read_utterance_turns(interaction: Interaction) -> list[Turn]:
    """The turns that say something, without markup and files; of mails, without quoted threads and signatures too."""
    is_mail = interaction.channel == "email"
    turns = interaction.utterances
    return turns if len(turns) > MAX_CLEANED_TURNS else [_read_utterance_turn(turn, is_mail) for turn in turns]


def _read_utterance_turn(turn: Turn, is_mail: bool) -> Turn:
    text = clean_utterance_text(turn.text, is_mail)
    return turn if text is turn.text else turn.model_copy(update={"text": text})


def clean_utterance_text(text: str, is_mail: bool) -> str:
    """`text` itself where nothing is to be taken out of it."""
    text = _prefer(remove_encoded_files(text), text)
    if len(text) > MAX_CLEANED:
        return text
    if has_html_markup(text):
        text = _read_markup_text(text, is_mail)
    if is_mail:
        text = _prefer(remove_quoted_thread(text), text)
        text = _prefer(remove_mail_signature(text), text)
    return text


def _read_markup_text(text: str, is_mail: bool) -> str:
    if not is_mail:
        return _prefer(read_visible_words(mark_markup_text(text)), text)
    unwanted = f"{QUOTED_ELEMENTS},{SIGNATURE_ELEMENTS}"
    marked = mark_markup_text(text, unwanted, QUOTED_FROM_HERE, spare=is_forwarded_mail)
    own = read_wanted_words(marked)
    return own if says_something_readable(own) else _prefer(read_visible_words(marked), text)


def _prefer(cleaned: str, original: str) -> str:
    return cleaned if cleaned != original and says_something_readable(cleaned) else original
