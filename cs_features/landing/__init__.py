"""What lands: the bucket (`zone`), bytes to rows (`documents`), and whose an id is (`corrections`)."""
