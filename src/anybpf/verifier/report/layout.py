"""Where the blocks of a control-flow graph stand on a page: layers from top to bottom.

A small version of the usual way: back edges aside, each block lies one layer below the lowest that
leads to it; layers are sorted by where their neighbours stand; then blocks move towards these as
far as there is room. Each function is drawn by itself, one beside the other.
"""

from __future__ import annotations

from typing import Final

from anybpf.verifier.trail import successors
from anybpf.verifier.verification import Verification

# Sizes in pixels at full size.
WIDTH: Final = 232
TITLE: Final = 20
LINE: Final = 14
GAP_ACROSS: Final = 28
GAP_DOWN: Final = 46
MARGIN: Final = 24
# Lines of code that a block shows.
SHOWN: Final = 8
# The room that a line takes where it passes between boxes.
PASSAGE: Final = 12
# Edges over more layers than this are drawn at the side; shorter ones between the blocks.
LONGEST_INSIDE: Final = 6
_SWEEPS: Final = 4


class Box:
    """A block of code, ``first`` to ``last``, and where it stands."""

    __slots__ = ("first", "height", "last", "layer", "width", "x", "y")

    def __init__(self, first: int, last: int) -> None:
        self.first: int = first
        self.last: int = last
        self.width: int = WIDTH
        self.layer: int = 0
        self.x: int = 0
        self.y: int = 0
        lines = last - first + 1
        self.height: int = TITLE + LINE * min(lines, SHOWN + 1) + 6


class Line:
    """An edge: from box to box, which way it leaves, and its course as points."""

    __slots__ = ("is_aside", "kind", "points", "source", "target")

    def __init__(self, source: int, target: int, kind: str) -> None:
        self.source: int = source
        self.target: int = target
        # "next" goes on, "jump" is an unconditional one, "no" and "yes" are sides of a branch
        self.kind: str = kind
        self.points: list[tuple[int, int]] = []
        self.is_aside: bool = False  # its points are corners; else they are joined by curves


class Drawing:
    """All boxes and lines of a program, and the size of the paper."""

    __slots__ = ("boxes", "height", "lines", "width")

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.lines: list[Line] = []
        self.width: int = 0
        self.height: int = 0


def draw(verification: Verification) -> Drawing:
    """The control flow of a program, laid out."""
    drawing = Drawing()
    follow = successors(verification)
    drawing.boxes = _cut(verification, follow)
    starts = {box.first: number for number, box in enumerate(drawing.boxes)}
    for number, box in enumerate(drawing.boxes):
        after = [starts[index] for index in follow[box.last] if index in starts]
        branch = len(follow[box.last]) > 1
        for position, target in enumerate(after):
            kind = "next" if drawing.boxes[target].first == box.last + 1 else "jump"
            if branch:
                kind = "yes" if position else "no"
            drawing.lines.append(Line(number, target, kind))
    left = MARGIN
    for members in _functions(verification, drawing.boxes):
        left = _place_function(drawing, members, left)
    drawing.width = left + MARGIN
    for box in drawing.boxes:
        drawing.height = max(drawing.height, box.y + box.height + MARGIN)
    return drawing


def _cut(verification: Verification, follow: list[list[int]]) -> list[Box]:
    """Blocks end at branches and before what is jumped to; calls of functions do not end them."""
    count = len(follow)
    heads = {0} if count else set()
    for index in range(count):
        if index and verification.function_of[index] != verification.function_of[index - 1]:
            heads.add(index)
        if follow[index] != [index + 1]:
            heads.update(follow[index])
            heads.add(index + 1)
    ordered = sorted(head for head in heads if head < count)
    ends = [*ordered[1:], count]
    return [Box(first, end - 1) for first, end in zip(ordered, ends, strict=True)]


def _functions(verification: Verification, boxes: list[Box]) -> list[list[int]]:
    groups: list[list[int]] = []
    last = ""
    for number, box in enumerate(boxes):
        name = verification.function_of[box.first]
        if not groups or name != last:
            groups.append([])
        groups[-1].append(number)
        last = name
    return groups


def _place_function(drawing: Drawing, members: list[int], left: int) -> int:
    """Lay out the boxes of one function from ``left`` on; says where the next may begin."""
    inside = set(members)
    own = [line for line in drawing.lines if line.source in inside and line.target in inside]
    back = _back_edges(own, members)
    forward = [line for position, line in enumerate(own) if position not in back]
    down: dict[int, list[int]] = {number: [] for number in members}
    up: dict[int, list[int]] = {number: [] for number in members}
    for line in forward:
        down[line.source].append(line.target)
        up[line.target].append(line.source)
    layers = _layers(drawing, members, down, up)
    # Lines that pass layers get places in them, so that they do not run through boxes.
    boxes = {number: drawing.boxes[number] for number in members}
    chains: dict[int, list[int]] = {}
    for position, line in enumerate(own):
        span = boxes[line.target].layer - boxes[line.source].layer
        if position not in back and 1 < span <= LONGEST_INSIDE:
            chains[position] = _pass_through(line, boxes, layers, down, up)
    _sort_layers(layers, down, up)
    _spread(boxes, layers, down, up)
    low = min([box.x for box in boxes.values()])
    y = MARGIN
    for layer in layers:
        tallest = 0
        for number in layer:
            boxes[number].x += left - low
            boxes[number].y = y
            tallest = max(tallest, boxes[number].height)
        for number in layer:
            if boxes[number].first < 0:
                boxes[number].height = tallest
        y += tallest + GAP_DOWN
    right = max([box.x + box.width for box in boxes.values()])
    lanes = 0
    for position, line in enumerate(own):
        span = boxes[line.target].layer - boxes[line.source].layer
        aside = position in back or span > LONGEST_INSIDE
        through = [boxes[number] for number in chains.get(position, [])]
        _route(drawing, line, through, right + 12 + 5 * (lanes % 24) if aside else 0)
        lanes += 1 if aside else 0
    return right + (12 + 5 * min(lanes, 24) if lanes else 0) + 2 * MARGIN


def _pass_through(
    line: Line,
    boxes: dict[int, Box],
    layers: list[list[int]],
    down: dict[int, list[int]],
    up: dict[int, list[int]],
) -> list[int]:
    """Give a line a place in each layer that it passes; says which."""
    chain: list[int] = []
    before = line.source
    down[before].remove(line.target)
    up[line.target].remove(line.source)
    for layer in range(boxes[line.source].layer + 1, boxes[line.target].layer):
        number = -len(boxes) - 1  # boxes of code count from 0
        box = Box(-1, -1)
        box.width = PASSAGE
        box.layer = layer
        boxes[number] = box
        layers[layer].append(number)
        down[before].append(number)
        up[number] = [before]
        down[number] = []
        chain.append(number)
        before = number
    down[before].append(line.target)
    up[line.target].append(before)
    return chain


def _back_edges(own: list[Line], members: list[int]) -> set[int]:
    """Positions of lines that lead back to a box on the way to their start."""
    leaving: dict[int, list[int]] = {number: [] for number in members}
    for position, line in enumerate(own):
        leaving[line.source].append(position)
    found: set[int] = set()
    state: dict[int, int] = {}  # 1: on the way, 2: done
    for root in members:
        if root in state:
            continue
        state[root] = 1
        stack = [(root, 0)]
        while stack:
            number, at = stack[-1]
            if at == len(leaving[number]):
                state[number] = 2
                stack.pop()
                continue
            stack[-1] = (number, at + 1)
            position = leaving[number][at]
            target = own[position].target
            if state.get(target) == 1:
                found.add(position)
            elif target not in state:
                state[target] = 1
                stack.append((target, 0))
    return found


def _layers(
    drawing: Drawing, members: list[int], down: dict[int, list[int]], up: dict[int, list[int]]
) -> list[list[int]]:
    missing = {number: len(up[number]) for number in members}
    ready = [number for number in members if not missing[number]]
    for number in ready:
        for target in down[number]:
            below = drawing.boxes[number].layer + 1
            drawing.boxes[target].layer = max(drawing.boxes[target].layer, below)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    layers: list[list[int]] = []
    for number in members:
        layer = drawing.boxes[number].layer
        while len(layers) <= layer:
            layers.append([])
        layers[layer].append(number)
    return layers


def _sort_layers(
    layers: list[list[int]], down: dict[int, list[int]], up: dict[int, list[int]]
) -> None:
    """Sort each layer by the mean place of what it hangs on, from above and below in turn."""
    place: dict[int, float] = {}
    for layer in layers:
        for position, number in enumerate(layer):
            place[number] = float(position)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            keys: dict[int, float] = {}
            for number in layer:
                near = up[number] if downwards else down[number]
                spots = [place[other] for other in near]
                keys[number] = sum(spots) / len(spots) if spots else place[number]
            layer.sort(key=keys.__getitem__)
            for position, number in enumerate(layer):
                place[number] = float(position)


def _spread(
    boxes: dict[int, Box],
    layers: list[list[int]],
    down: dict[int, list[int]],
    up: dict[int, list[int]],
) -> None:
    """Move boxes towards the middle of their neighbours, keeping their order and distance."""
    for layer in layers:
        x = 0
        for number in layer:
            boxes[number].x = x
            x += boxes[number].width + GAP_ACROSS
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            wanted: list[int] = []
            for number in layer:
                near = (up[number] if downwards else down[number]) or [number]
                middle = sum([2 * boxes[each].x + boxes[each].width for each in near])
                wanted.append((middle // len(near) - boxes[number].width) // 2)
            _settle([boxes[number] for number in layer], wanted)


def _settle(layer: list[Box], wanted: list[int]) -> None:
    """Give boxes the places they want; those that would overlap share the middle of theirs."""
    # A group: the sum of the starts that its boxes want for it, their number, and its width.
    groups: list[tuple[int, int, int]] = []
    for box, want in zip(layer, wanted, strict=True):
        total = want
        count = 1
        width = box.width + GAP_ACROSS
        while groups:
            before, size, extent = groups[-1]
            if before // size + extent <= total // count:
                break
            groups.pop()
            total = before + total - count * extent
            count += size
            width += extent
        groups.append((total, count, width))
    position = 0
    for total, count, _ in groups:
        x = total // count
        for _ in range(count):
            layer[position].x = x
            x += layer[position].width + GAP_ACROSS
            position += 1


def _route(drawing: Drawing, line: Line, through: list[Box], lane: int) -> None:
    """The course of a line: down, past the layers between, or out to a lane and back in."""
    source = drawing.boxes[line.source]
    target = drawing.boxes[line.target]
    shift = {"no": -WIDTH // 5, "yes": WIDTH // 5}.get(line.kind, 0)
    start = (source.x + WIDTH // 2 + shift, source.y + source.height)
    end = (target.x + WIDTH // 2, target.y)
    if not lane:
        line.points = [start]
        for box in through:
            line.points += [
                (box.x + PASSAGE // 2, box.y),
                (box.x + PASSAGE // 2, box.y + box.height),
            ]
        line.points.append(end)
        return
    line.points = [
        start,
        (start[0], start[1] + 14),
        (lane, start[1] + 14),
        (lane, end[1] - 14),
        (end[0], end[1] - 14),
        end,
    ]
    line.is_aside = True
