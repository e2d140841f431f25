"""What PREVAIL takes, as recorded: its control flow and fixpoint, in CPU time, by size of program.

Not measured here: PREVAIL of August 2026 was built with -O3 and timed on another day on a machine
of this kind, with the options of its own test suite, over 634 programs of the same corpora. Of the
twenty slowest the figures are their own; of others there is the geometric mean of a size class.
"""

from __future__ import annotations

# Instructions below which the class ends, and the geometric mean in seconds.
CLASSES: list[tuple[int, str, float]] = [
    (30, "under 30", 0.9e-3),
    (100, "30 to 100", 2.5e-3),
    (300, "100 to 300", 11e-3),
    (1000, "300 to 1000", 57e-3),
    (2000, "1000 to 2000", 198e-3),
    (4000, "2000 to 4000", 401e-3),
    (1 << 62, "over 4000", 3.277),
]

# Object and section: seconds of control flow and of the fixpoint, of the twenty slowest.
NAMED: dict[tuple[str, str], tuple[float, float]] = {
    ("cilium/bpf_xdp_dsr_linux.o", "2/16"): (3.79, 0.070),
    ("cilium/bpf_xdp_dsr_linux.o", "2/19"): (3.46, 0.035),
    ("cilium/bpf_xdp_dsr_linux_v1_1.o", "2/15"): (3.71, 0.071),
    ("cilium/bpf_xdp_snat_linux.o", "2/15"): (3.29, 0.057),
    ("cilium/bpf_xdp_snat_linux_v1.o", "2/15"): (3.27, 0.056),
    ("cilium/bpf_xdp_snat_linux_v1.o", "2/19"): (3.18, 0.034),
    ("cilium/bpf_xdp_dsr_linux_v1_1.o", "2/16"): (4.22, 0.071),
    ("cilium/bpf_xdp_dsr_linux.o", "2/15"): (3.42, 0.057),
    ("cilium/bpf_xdp_snat_linux_v1.o", "2/16"): (3.43, 0.064),
    ("cilium/bpf_xdp_dsr_linux_v1_1.o", "2/24"): (3.61, 0.051),
    ("cilium/bpf_xdp_dsr_linux.o", "2/24"): (3.32, 0.058),
    ("cilium/bpf_xdp_snat_linux.o", "2/24"): (3.18, 0.046),
    ("cilium/bpf_xdp_snat_linux.o", "2/16"): (3.55, 0.070),
    ("cilium/bpf_xdp_snat_linux_v1.o", "2/24"): (3.09, 0.042),
    ("cilium/bpf_xdp_dsr_linux_v1.o", "2/16"): (3.65, 0.068),
    ("cilium/bpf_xdp_dsr_linux_v1_1.o", "2/19"): (3.45, 0.037),
    ("cilium/bpf_xdp_snat_linux.o", "2/19"): (3.22, 0.037),
    ("cilium/bpf_xdp_dsr_linux_v1.o", "2/15"): (3.36, 0.058),
    ("cilium/bpf_xdp_dsr_linux_v1.o", "2/19"): (3.31, 0.034),
    ("cilium/bpf_xdp_dsr_linux_v1.o", "2/24"): (3.13, 0.048),
}


def size_class(instructions: int) -> int:
    """The index in CLASSES."""
    return next(i for i, row in enumerate(CLASSES) if instructions < row[0])


def seconds(file: str, section: str, instructions: int) -> float:
    """What PREVAIL took for this program, or for those of its size by geometric mean."""
    named = NAMED.get((file, section))
    return sum(named) if named else CLASSES[size_class(instructions)][2]
