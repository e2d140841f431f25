"""Holds the verifier to its word: programs are made, judged, run, and every step is compared.

The parts: ``generate`` makes programs, ``machine`` runs them and watches every access, ``compare``
asks whether the machine's state is among those the verifier foresaw, ``campaign`` drives the three.
Nothing here is part of the package; ``fuzz/verifier.py`` is the command.
"""
