"""One image: decoding, preprocessing, and finding a digit in it."""
