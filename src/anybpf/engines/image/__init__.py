"""Native images: programs that were proved and compiled ahead, as shared libraries.

``compiling`` makes them, ``binding`` loads them; what they look like is said in ``library`` (the
file) and ``table`` (what it says of itself). Loading needs neither compiler nor verifier.
"""
