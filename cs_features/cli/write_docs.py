"""The tables of README and docs that the code knows better: settings, commands, reasons for rejection, features
of customers, costs.

A table stands between `<!-- NAME: written by make docs -->` and `<!-- end of NAME -->`; `--check` writes nothing and
names the files whose tables are not those of the code. What else stands in the docs is nobody's but the writer's.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from cs_features.customers.definitions import FEATURES, PROMPT_VERSIONS
from cs_features.environments import PREFIX, Settings
from cs_features.schemas import Reason

ROOT = Path(__file__).resolve().parents[2]


def render_settings_table() -> str:
    rows = []
    for name, field in Settings.model_fields.items():
        default = "unset" if field.default is None else f"`{field.default}`"
        if name == "prompts_dir":
            default = "`prompts/`"
        rows.append((f"`{PREFIX}{name.upper()}`", field.description or "", default))
    return render_markdown_table(("variable", "meaning", "default"), rows)


def render_commands_table() -> str:
    """The targets of the Makefile that say what they do."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.findall(r"^([a-z-]+):[^#\n]*## (.*)$", text, re.M)
    return render_markdown_table(
        ("command", "what it does"), [(f"`make {name}`", escape_table_cell(what)) for name, what in found]
    )


def render_reasons_table() -> str:
    rows = [(f"`{each.value}`", each.stage, "yes" if each.redrivable else "no", each.meaning) for each in Reason]
    return render_markdown_table(("reason", "stage", "asking again can help", "meaning"), rows)


def render_customer_features() -> str:
    rows = [(_name_feature_windows(each.stem, each.windows), each.meaning, str(each.dtype)) for each in FEATURES]
    rows.append(
        (f"`{PROMPT_VERSIONS}`", "contacts by prompt version, as `version:contacts` with spaces between", "String")
    )
    return render_markdown_table(("feature", "meaning", "type"), rows)


def _name_feature_windows(stem: str, windows: Sequence[int]) -> str:
    return " ".join(f"`{stem}_{days}d`" for days in windows)


def render_costs_table() -> str:
    from deploy.costs import Volumes, format_bill  # it is beside the package, for whoever deploys

    return format_bill(Volumes())


def render_markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def escape_table_cell(text: str) -> str:
    return text.replace("|", "\\|")


TABLES: dict[str, Callable[[], str]] = {
    "settings": render_settings_table,
    "commands": render_commands_table,
    "reasons": render_reasons_table,
    "customer features": render_customer_features,
    "costs": render_costs_table,
}


def replace_generated_tables(text: str) -> str:
    """`text` with the content of each marked block written anew."""
    for name, render in TABLES.items():
        begin, end = f"<!-- {name}: written by make docs -->", f"<!-- end of {name} -->"
        if begin not in text:
            continue
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n{render()}\n{end}{after}"
    return text


def list_doc_pages() -> list[Path]:
    return [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "deploy" / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make docs", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 when a table is out of date")
    options = parser.parse_args()
    stale = []
    for page in list_doc_pages():
        before = page.read_text(encoding="utf-8")
        after = replace_generated_tables(before)
        if before == after:
            continue
        stale.append(page)
        if not options.check:
            page.write_text(after, encoding="utf-8")
    for page in stale:
        print(f"{page.relative_to(ROOT)}: {'run `make docs`' if options.check else 'written'}", file=sys.stderr)
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
