"""Sets of numbered members that are united step by step."""

from __future__ import annotations


def root(parents: list[int], member: int) -> int:
    """Return the member that stands for the set of `member`, and shorten the way to it.

    Args:
        parents: for each member another one of its set, or itself where it stands for the set.
        member: number of the member.
    """
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = parents[member]
    return member
