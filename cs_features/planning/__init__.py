"""What something would cost or change, before it is done: quotes and previews. Neither changes what is served."""
