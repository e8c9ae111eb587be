"""The label clinic: labels that are probably wrong, and images worth labelling next."""
