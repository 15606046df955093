"""What models take: a row a customer, as it was known at a moment, made of the rows a contact of the feature store."""
