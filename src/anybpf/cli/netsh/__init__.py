"""The grammar, commands and layouts of ``netsh ebpf``, on any back end for the Windows platform.

``shell`` reads lines and finds commands in ``table``; ``programs``, ``listings`` and ``files``
carry them out over a ``session``. How the tool looks is that of eBPF for Windows; what it does is
done by the back end, by the verifier and by the tables of the platform.
"""
