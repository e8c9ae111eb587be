"""Classifiers at rest: bundles, and exports for other software."""
