"""What becomes features: the gate, the scores as they count, and the figures by language. Pure functions of frames."""
