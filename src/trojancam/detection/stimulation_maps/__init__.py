"""Stimulation maps: which class stands out when feature maps are stimulated, and where."""
