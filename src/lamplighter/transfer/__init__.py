"""Learning from what a network has learned already: freezing, fine-tuning, the ladder."""
