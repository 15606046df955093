"""What is kept for how long, and what goes: rules, the data bucket's notes and ledgers, what a sweep reports."""
