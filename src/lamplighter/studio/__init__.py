"""The studio: a page in the browser on a folder of photos; every action is a call of the library."""
