"""Tasks: what a user asks for, from typed settings to a typed result; no page, no terminal."""
