"""How good the features are, by country and language: measured, compared, corrected, watched. No step of the flow."""
