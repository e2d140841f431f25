"""What the running kernel can do, by its own answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from anybpf.backends.linux import LinuxBackend, unavailable
from anybpf.backends.linux.features import LinuxFeatures, linux_features
from anybpf.backends.linux.probing import kernel_version
from anybpf.errors import InputError, NotSupported
from anybpf.runtime.features import Feature


@pytest.fixture(scope="module")
def features() -> Iterator[LinuxFeatures]:
    reason = unavailable()
    if reason:
        pytest.skip(reason)
    with LinuxBackend() as kernel:
        yield linux_features(kernel)


def since(found: Feature) -> int:
    """The version that has it, as the kernel packs its own; 0 where it is not known."""
    parts = found.since.split(".")
    if not all(part.isdigit() for part in parts) or len(parts) < 2:
        return 0
    return (int(parts[0]) << 16) + (int(parts[1]) << 8)


@pytest.mark.parametrize("kind", ["program_type", "map_type", "attach_type", "helper", "misc"])
def test_no_older_kernel_is_said_to_have_what_is_newer(features: LinuxFeatures, kind: str) -> None:
    """A yes from a kernel that is older than the tables say: a wrong probe, or a wrong table."""
    for found in features.all(kind):
        if found.has:
            assert since(found) <= kernel_version(), found


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("program_type", "socket_filter"),
        ("program_type", "xdp"),
        ("program_type", "cgroup_sock_addr"),
        ("map_type", "hash"),
        ("map_type", "lpm_trie"),
        ("map_type", "array_of_maps"),
        ("map_type", "queue"),
        ("attach_type", "cgroup_inet4_connect"),
        ("attach_type", "cgroup_udp4_recvmsg"),
        ("helper", "bpf_map_lookup_elem"),
        ("helper", "bpf_redirect_map"),
        ("misc", "global_data"),
        ("misc", "program_names"),
        ("misc", "v3_isa_extension"),
    ],
)
def test_what_kernels_of_version_5_4_have(features: LinuxFeatures, kind: str, name: str) -> None:
    if kernel_version() < 0x050400:
        pytest.skip("this kernel is older")
    found = features.feature(kind, name)
    if found.has is None:
        pytest.skip(f"{name}: {found.why}")
    assert found.word == "yes", found.why


def test_places_of_kernels_of_version_6_6(features: LinuxFeatures) -> None:
    if kernel_version() < 0x060600:
        pytest.skip("this kernel is older")
    for name in ("xdp", "tcx_ingress", "netfilter", "sk_lookup", "perf_event", "sk_msg_verdict"):
        found = features.feature("attach_type", name)
        if found.has is None:
            pytest.skip(f"{name}: {found.why}")
        assert found.has, found


def test_helpers_by_program_type(features: LinuxFeatures) -> None:
    assert features.helper("bpf_redirect_map", "xdp").has
    no = features.helper("bpf_redirect_map", "socket_filter")
    assert no.has is False
    assert "bpf_redirect_map" in no.why or "invalid func" in no.why or "unknown func" in no.why
    with pytest.raises(InputError, match="no helper is named 'bpf_fly'"):
        features.helper("bpf_fly", "xdp")
    with pytest.raises(InputError, match="no program type is named 'xpd'"):
        features.helper("bpf_redirect_map", "xpd")


def test_what_is_newer_than_all_kernels_says_so(features: LinuxFeatures) -> None:
    found = features.feature("attach_type", "trace_fentry_multi")
    if found.has is not False:
        pytest.skip("this kernel has it, or does not tell")
    assert found.since == "after 6.18"
    with pytest.raises(NotSupported, match=r"needs after 6\.18"):
        features.require("attach_type", "trace_fentry_multi")


def test_an_answer_is_asked_for_once(features: LinuxFeatures) -> None:
    first = features.feature("map_type", "hash")
    assert features.feature("map_type", "hash") is first
    assert features.helper("bpf_redirect_map", "xdp") is features.helper("bpf_redirect_map", "xdp")


def test_probing_leaves_nothing_behind(features: LinuxFeatures) -> None:
    with LinuxBackend() as kernel:
        before = {kind: kernel.ids(kind) for kind in ("map", "link")}
        for kind in ("map_type", "attach_type", "misc"):
            for found in linux_features(kernel).all(kind):
                assert found.kind == kind
        # Others may load and unload meanwhile; what is there now and was not, must not be ours.
        for kind, there in before.items():
            assert len(set(kernel.ids(kind)) - set(there)) < 5
