"""The daily page: what is known of the operation, what needs a person today, and how both are shown."""
