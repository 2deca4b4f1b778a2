"""Deadlock as taught: matrices and graphs from lists and arrays, steps, conditions, and the picture."""

import xml.etree.ElementTree as ElementTree

import numpy
import pytest

from triveni import deadlock

# A. S. Tanenbaum's example, as lectures use it.
EXISTING = [4, 2, 3, 1]
ALLOCATION = [[0, 0, 1, 0], [2, 0, 0, 1], [0, 1, 2, 0]]
REQUEST = [[2, 0, 0, 1], [1, 0, 1, 0], [2, 1, 0, 0]]


@pytest.mark.parametrize("array", [list, numpy.array, lambda rows: numpy.array(rows, dtype=numpy.uint8)])
def test_the_textbooks_numbers_finish_in_the_order_3_2_1(array):
    found = deadlock.detect(array(EXISTING), array(ALLOCATION), array(REQUEST), array([2, 1, 0, 0]))
    assert (found.order, found.deadlocked, found.available) == ([2, 1, 0], [], [2, 1, 0, 0])
    first, second, third = found.steps
    assert (first.finishes, first.blocked, first.available) == (2, {0: [(3, 1, 0)], 1: [(2, 1, 0)]}, [2, 1, 0, 0])
    assert (second.finishes, second.blocked, second.available) == (1, {0: [(3, 1, 0)]}, [2, 2, 2, 0])
    assert (third.finishes, third.blocked, third.available) == (0, {}, [4, 2, 2, 1])
    assert third.then_available == EXISTING
    assert found.cycles == [[(0, 3), (1, 2)]], "a circle that is no deadlock"
    assert "process 1  0 0 1 0     2 0 0 1     blocked: 1 of class 4 wanted, 0 available" in str(found)
    assert "no deadlock" in repr(found) and "process 3 finishes" in repr(first)


def test_a_circle_of_single_resources_is_a_deadlock_and_says_why():
    found = deadlock.graph(
        {"printer": 1, "scanner": 1},
        assignments=[("printer", "A"), ["scanner", "B"]],
        requests=[("A", "scanner"), ("B", "printer")],
        processes=["C"],
    )
    assert (found.processes, found.classes) == (["C", "A", "B"], ["printer", "scanner"])
    assert (found.order, found.deadlocked) == ([0], [1, 2])
    assert found.steps[-1].finishes is None and set(found.steps[-1].blocked) == {1, 2}
    assert found.verdict == "deadlock: A and B wait for ever; C can finish"
    assert all(holds for holds, _ in found.conditions.values())
    assert found.conditions["hold and wait"] == (True, "A holds printer and waits for scanner")


@pytest.mark.parametrize(("kind", "missing"), [("sharable", "mutual exclusion"), ("preemptible", "no preemption")])
@pytest.mark.parametrize("which", ["x", 0, numpy.int64(0)])
def test_a_condition_that_is_missing_prevents_it(kind, missing, which):
    matrices = [1, 1], [[1, 0], [0, 1]], [[0, 1], [1, 0]]
    assert deadlock.detect(*matrices).deadlocked == [0, 1]
    found = deadlock.detect(*matrices, classes=["x", "y"], **{kind: [which]})
    assert found.deadlocked == []
    assert [name for name, (holds, _) in found.conditions.items() if not holds] == [missing]


def test_the_picture_is_xml_and_names_all():
    found = deadlock.graph({"<R&D>": 3}, [("<R&D>", "A"), ("<R&D>", "A")], [("B", "<R&D>")])
    root = ElementTree.fromstring(found.svg())
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"A", "B", "<R&D>"} <= texts
    assert found._repr_svg_() == found.svg()
    large = deadlock.detect([1000], [[1]] * 1000, [[0]] * 1000)
    assert large._repr_svg_() is None and len(large.order) == 1000


@pytest.mark.parametrize(
    ("arguments", "options", "error", "said"),
    [
        (([1], [[1], [1]], [[0], [0]]), {}, ValueError, '2 of "class 1" are allocated of only 1 existing'),
        (([1], [[0]], [[2]]), {}, ValueError, '"process 1" asks for 2 of "class 1", of only 1 existing'),
        ((EXISTING, ALLOCATION, REQUEST, [2, 1, 1, 0]), {}, ValueError, "makes 0 available, not 1"),
        (([1], [[0, 0]], [[0]]), {}, ValueError, "has 2 numbers for 1 class"),
        (([1], [[-1]], [[0]]), {}, ValueError, "allocation, row 0 -1 is out of range"),
        (([2**32], [[0]], [[0]]), {}, ValueError, "existing 4294967296 is out of range"),
        (([1.5], [[0]], [[0]]), {}, TypeError, "existing: a whole number is needed, not float"),
        (([1], [0], [[0]]), {}, TypeError, "allocation, row 0: a list or array of whole numbers is needed, not int"),
        ((1, [[0]], [[0]]), {}, TypeError, "existing: a list or array"),
        (([1], [[0]] * 2000, [[0]]), {}, ValueError, "at most 1024"),
        (([1], [[0]], [[0]]), {"classes": ["a", "b"]}, ValueError, "2 names for 1 numbers"),
        (([1], [[0]], [[0]]), {"sharable": ["z"]}, ValueError, "there is no class 'z'"),
        (([1], [[0]], [[0]]), {"preemptible": [1]}, ValueError, "there is no class 1"),
    ],
)
def test_what_does_not_agree_is_refused_with_class_and_numbers(arguments, options, error, said):
    with pytest.raises(error) as raised:
        deadlock.detect(*arguments, **options)
    assert said in str(raised.value)


def test_edges_are_pairs_of_known_names():
    with pytest.raises(ValueError, match='there is no resource "y"'):
        deadlock.graph({"x": 1}, [], [("A", "y")])
    with pytest.raises(TypeError, match="pairs of two names are needed, not 'ABC'"):
        deadlock.graph({"x": 1}, [], ["ABC"])
    with pytest.raises(TypeError, match="instances of \"x\": a whole number"):
        deadlock.graph({"x": "1"}, [], [])
