"""The paper's experiments with trained denoisers, at a scale of one's choice."""
