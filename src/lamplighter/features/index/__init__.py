"""Similar images among many."""
