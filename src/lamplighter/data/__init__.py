"""Images with their labels, and what is done to an image before a network sees it."""
