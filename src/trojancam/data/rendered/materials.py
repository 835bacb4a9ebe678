"""What parts of a drawn object consist of: the colours that drawings are made in stand for materials, not for themselves.

Averaged and multiplied by alpha, red, green and blue are the shares of three materials in a pixel; what is left is the fourth.
"""

from trojancam.data.rendered.canvas import Colour

MAIN: Colour = (255, 0, 0)
SECOND: Colour = (0, 255, 0)
DARK: Colour = (0, 0, 255)
LIGHT: Colour = (0, 0, 0)
