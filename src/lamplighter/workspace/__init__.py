"""A folder of photos being worked on: labels set by a person, in a journal that can be undone."""
