"""Native speakers in the loop: sheets that colleagues fill in, and what their labels say of the answers.

`words/` what a sheet says in each language, `sampling.py` who is drawn and with which probability, `frame.py` and
`drawing.py` from the tables to a sheet, `workbook.py` the file, `returned.py` the file that comes back, `records.py`
what is kept of both, `estimates.py` and `agreement.py` the statistics, `human_quality.py` and `corrected.py` the tables
that they make. No Dagster here, no command line, and no model is asked.
"""
