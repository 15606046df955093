"""`make new-country COUNTRY=DE`: a valid file for a country that is new, and what else there is to do.

The file says what is true of any country; what makes the answers good is for somebody who knows the customers.
"""

import argparse
import sys
from importlib import resources
from pathlib import Path

from cs_features.cli.failures import report_command_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError, RequestError
from cs_features.extraction.prompts import load_prompt_folder

TEMPLATE = """\
---
country: {country}
name: {name}
# Fill in: the ISO 639-1 codes of the languages that customers write in here, the most frequent first.
languages: [{languages}]
# Shares of right answers on the golden corpus; what is known to lie below blocks this country.
floors: {{sentiment: 0.70, primary_topic: 0.60, intent: 0.55, resolution_status: 0.60}}
# Fill in below: how people write here, which polite words are convention, which irony and understatement mean the
# opposite, which words announce a legal step; and examples of your own, invented, in the languages above. The other
# countries' files show how. The model reads everything below the next line.
---

## Languages and register

- Customer and agent may each keep their own language; the one that a text is in says nothing about its customer.

## Tone and calibration

- Greetings, thanks in advance and closing formulas are convention and prove no satisfaction.
- Praise beside a bad fact is irony: negative.

## Examples

<interaction channel="review" language="{language}" country="{country}">
customer: The desk lamp came a day early and the shade fits. Very pleased with it.
</interaction>

```json
{{"summary": "Customer is very pleased with a desk lamp that arrived a day early and whose shade fits.", \
"sentiment": "positive", "primary_topic": "{topic}", "intent": "{intent}", \
"resolution_status": "resolved", "urgency_score": 0.1, "csat_indicator": 0.9}}
```
"""


def main(arguments: list[str] | None = None) -> int:
    """0; 2 when the request, a file or a setting is wrong, with a sentence on stderr."""
    parser = argparse.ArgumentParser(prog="make new-country", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("country", help="ISO 3166 alpha-2 code, such as DE")
    parser.add_argument("--language", nargs="+", default=["en"], metavar="CODE", help="ISO 639-1; default: en")
    options = parser.parse_args(arguments)
    try:
        path = write_country_file(options.country, options.language, settings().prompts_dir)
    except CsFeaturesError as error:
        return report_command_failure(error)
    print(f"{path} written. Next:")
    for number, step in enumerate(list_next_steps(options.country, options.language), start=1):
        print(f"  {number}. {step}")
    return 0


def write_country_file(country: str, languages: list[str], prompts_dir: Path) -> Path:
    """Write a valid file for `country`; returns its path.

    Raises:
        RequestError: no such country, or it has a file.
        PromptError: the prompts cannot be used, or a language is none; nothing is left behind.
    """
    path = prompts_dir / "countries" / f"{country}.md"
    name = find_country_name(country)
    if path.exists():
        raise RequestError(f"{path} is there already")
    taxonomy = load_prompt_folder(prompts_dir).taxonomy
    topics = [entry.id for entry in taxonomy.topics]
    intents = [entry.id for entry in taxonomy.intents]
    text = TEMPLATE.format(
        country=country,
        name=name,
        languages=", ".join(languages),
        language=languages[0],
        topic="product_quality" if "product_quality" in topics else topics[-1],
        intent="praise" if "praise" in intents else intents[-1],
    )
    path.write_text(text, encoding="utf-8")
    try:
        load_prompt_folder(prompts_dir).countries[country]
    except CsFeaturesError:
        path.unlink()
        raise
    return path


def find_country_name(country: str) -> str:
    """The English name of an ISO 3166 alpha-2 code.

    Raises:
        RequestError: there is no such code.
    """
    table = (resources.files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8")
    names = dict(line.split("\t") for line in table.splitlines() if line and not line.startswith("#"))
    if country in names:
        return names[country]
    meant = f": did you mean {country.upper()}?" if country.upper() in names else " (the United Kingdom's is GB)"
    raise RequestError(f"{country!r} is no ISO 3166 alpha-2 code{meant}")


def list_next_steps(country: str, languages: list[str]) -> list[str]:
    """What a new file does not do by itself."""
    files = ", ".join(f"prompts/golden/{language}.jsonl" for language in languages)
    return [
        "Fill in what its comments ask for; `make lint` checks it.",
        f"Write golden items of {country} into {files} (prompts/golden/README.md says how). Until then its quality is "
        "unknown, and the check quality_floor warns.",
        "Reload the definitions in Dagster (Deployment, Reload). Until then the landing sensor names the country's "
        "folder as a stray and leaves it alone; after it, everything that landed in the sensor's window is run.",
        "Materialize extraction_quality for its locales, then `make calibrate`.",
    ]


if __name__ == "__main__":
    sys.exit(main())
