"""Explore: images, layers and feature maps looked at by hand in a browser; the server behind the page, for one machine."""
