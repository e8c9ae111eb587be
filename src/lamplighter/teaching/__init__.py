"""The labs: from their sources to notebooks, and from a learner's notebook to points.

Making: `sources` (a lab's source, read into cells), `notebooks` (the learner's, solved and
nbgrader's notebook of it), `page` (the course's page), `making` (what `make labs` runs).

Grading: `submissions` (what a learner wrote), `sandbox` (the kernel that it runs in, with
`kernel`, `confinement` and `linux` inside it), `examiner` (the other process, of the hidden
tests), `marking` (one lab, step by step), `grading` (one notebook), `gathering` (a class).
"""
