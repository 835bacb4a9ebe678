"""The digits and letters of the signs, as strokes in the manner of the road alphabet: no font is needed."""

from trojancam.data.rendered.canvas import Canvas, Colour, Number, Point, arc

Strokes = tuple[list[Point], ...]

_ROUND_O = [*arc((0, -0.33), 0.42, 0.52, 180, 360), *arc((0, 0.33), 0.42, 0.52, 0, 180), (-0.42, -0.33)]

GLYPHS: dict[str, Strokes] = {
    "0": (_ROUND_O,),
    "1": ([(-0.3, -0.45), (0.08, -0.85), (0.08, 0.85)],),
    "2": ([*arc((0, -0.42), 0.42, 0.43, 185, 395), (-0.42, 0.85), (0.44, 0.85)],),
    "3": ([*arc((0, -0.43), 0.38, 0.42, 195, 450), *arc((0, 0.42), 0.42, 0.43, 270, 525)],),
    "5": ([(0.38, -0.85), (-0.32, -0.85), (-0.36, -0.05), *arc((0, 0.32), 0.42, 0.53, 225, 515)],),
    "6": ([*arc((0, -0.33), 0.42, 0.52, 325, 180), (-0.42, 0.35), *arc((0, 0.38), 0.42, 0.47, 180, 540)],),
    "7": ([(-0.42, -0.85), (0.42, -0.85), (-0.12, 0.85)],),
    "8": (arc((0, -0.43), 0.36, 0.42, 0, 360), arc((0, 0.42), 0.42, 0.43, 0, 360)),
    "S": ([*arc((0, -0.42), 0.4, 0.43, 335, 90), *arc((0, 0.42), 0.4, 0.43, 270, 515)],),
    "T": ([(-0.45, -0.85), (0.45, -0.85)], [(0, -0.85), (0, 0.85)]),
    "O": (_ROUND_O,),
    "P": ([(-0.4, 0.85), (-0.4, -0.85), *arc((0, -0.38), 0.42, 0.47, 270, 450), (-0.4, 0.09)],),
}


def write(canvas: Canvas, text: str, width: Number, height: Number, *, weight: Number, colour: Colour) -> None:
    """Write the text in the middle of the frame, fitted to this width and height; `weight` is the strokes' width."""
    pitch = width / (len(text) - 0.12)
    for i, letter in enumerate(text):
        centre = (i - (len(text) - 1) / 2) * pitch
        # A glyph is 0.84 wide between the middles of its strokes; the pitch leaves a gap of an eighth.
        stretch = (0.88 * pitch - weight) / 0.84 / (height / 2)
        frame = canvas.at(centre, 0, height / 2, stretch)
        for line in GLYPHS[letter]:
            frame.stroke(line, weight / (height / 2), colour)
