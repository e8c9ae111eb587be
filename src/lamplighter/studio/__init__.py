"""The studio: a page in the browser on photos; each action is a call of the library."""
