"""Images that a unit, channel or class answers to most."""
