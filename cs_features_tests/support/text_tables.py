"""A Markdown table of Dagster's metadata, read back as rows of texts."""


def read_text_table(text: str) -> list[dict[str, str]]:
    header, _, *rows = [line[2:-2].split(" | ") for line in text.splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]
