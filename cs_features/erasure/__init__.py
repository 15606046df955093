"""Who is erased: the request, its tombstones and its receipt. What is taken out of which place stands in
`planning/erasing/`; landing, ledger and publisher ask the tombstones by themselves.
"""
