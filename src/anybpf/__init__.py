"""anybpf."""
