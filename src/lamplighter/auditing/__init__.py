"""What is wrong with a data set: duplicates, leakage, unreadable and odd files."""
