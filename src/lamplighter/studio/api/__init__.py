"""What the page asks: for each view the routes whose calls a script could make."""
