"""What lands: the bucket (`zone`), files to documents (`files`), a document's row (`documents`), a partition's rows
(`reading`), what earlier runs knew (`earlier`, `listings`), and whose an id is (`corrections`).
"""
