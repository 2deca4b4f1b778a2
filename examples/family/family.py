"""The chain and the fan: n processes from one loop of fork. In a chain the child goes on in the loop, so each process
is the parent of the next; in a fan the parent goes on, so all are its children.

    family.py        makes both, four processes each, and draws them
"""

from triveni import kernel

for make in (kernel.chain, kernel.fan):
    with make(4) as family:  # they end with it
        tree = family.tree()
        print(tree)
        print(f"{make.__name__}: {len(family.members)} processes, {tree.depth} steps below this one")
