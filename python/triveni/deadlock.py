"""Deadlock as taught: detection with matrices step by step, resource graphs, Coffman's conditions, and a picture.

    from triveni import deadlock
    d = deadlock.detect([4, 2, 3, 1], [[0, 0, 1, 0], [2, 0, 0, 1], [0, 1, 2, 0]], [[2, 0, 0, 1], [1, 0, 1, 0], [2, 1, 0, 0]])
    print(d)            # all steps, and what they show
    d.order             # [2, 1, 0]: who finishes, in this order
    d                   # in a notebook: the resource allocation graph

Nothing here looks at the running system; ``Segment.deadlocks()`` does.
"""

from ._triveni import (
    Detection,
    Step,
    detect,
    graph,
)

__all__ = [
    "Detection",
    "Step",
    "detect",
    "graph",
]
