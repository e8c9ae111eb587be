"""Training: the Trial, its recipes, and what watches and steers it."""
