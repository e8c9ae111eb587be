"""How good is a classifier, and how sure can one be of that."""
