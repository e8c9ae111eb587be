"""One HTML file that runs a bundle in the browser, from a disk, with no server."""
