"""Heads fitted on feature vectors with scikit-learn."""
