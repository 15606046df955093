"""Personal data in what people write: found and replaced. One detector for prompt, tables, summaries and logs.

`folding` makes all spellings one, each kind has a module that finds it, `detection` asks them all, `masking` puts
placeholders. Every pattern is linear (`linear`). Nothing here knows a table, a model or S3.
"""
