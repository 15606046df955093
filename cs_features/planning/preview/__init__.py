"""What another prompt would change, and what a full rerun with it costs, before anyone pays for it.

`make preview CANDIDATE=DIR` on the command line, the job `preview_prompt` in Dagster. `sampling` says who is
asked and how far that holds, `changes` what differs; `plan` reads and asks nothing, `run` pays.
"""
