"""Code as text: one module per style, all written from the same instructions.

`anybpf` is our own style and can be assembled again, `llvm` is what ``llvm-objdump -d`` prints,
`bpftool` what ``bpftool prog dump xlated`` prints, `netsh` what ``netsh ebpf show disassembly``
prints, `json` is for programs. None of them knows a platform: who wants helpers and maps by name
gives a `anybpf.isa.listing.names.Names`.
"""
