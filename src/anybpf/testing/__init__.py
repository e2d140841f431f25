"""What tests of eBPF programs and of runtimes need: for ours, and for those of others.

`python -m anybpf.testing.conformance` is the plugin by which the public conformance suite runs this
package's engines.
"""

from __future__ import annotations
