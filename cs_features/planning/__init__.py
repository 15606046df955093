"""What something would cost, change or take away, counted before it is done: quotes, previews, removals."""
