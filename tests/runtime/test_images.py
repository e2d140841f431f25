"""Native images as users load them: what runs, what is refused, and what is needed for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from anybpf import errors, platforms
from anybpf.engines import llvm
from anybpf.engines.image.compiling import compile_image
from anybpf.errors import ImageError, InputError, NotFound, PolicyError
from anybpf.objects.specs import CollectionSpec
from anybpf.platforms import ReturnRange
from anybpf.runtime import Runtime, helper
from anybpf.runtime.policy import integrity, release
from tests.runtime.making import PASS, collection, map_spec

pytestmark = pytest.mark.skipif(not llvm.is_there(), reason="llvmlite is not installed")

COUNT = """
r0 = 0
*(u32 *)(r10 - 4) = r0
r2 = r10
r2 += -4
r1 = map[counts]
call bpf_map_lookup_elem
if r0 == 0 goto out
r1 = 1
lock *(u64 *)(r0 + 0) += r1
r0 = *(u64 *)(r0 + 0)
out:
exit
"""
PACKET = bytes(64)


def counting() -> CollectionSpec:
    return collection(COUNT, PASS, maps=[map_spec(), map_spec("unused", entries=9)])


@pytest.fixture(scope="module")
def image() -> bytes:
    return compile_image(counting())


def keys(folder: Path) -> tuple[Path, Path]:
    """A private key and its public half, in files as openssl writes them."""
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    from cryptography.hazmat.primitives import serialization as s

    key = ed25519.Ed25519PrivateKey.generate()
    private, public = folder / "key.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    public.write_bytes(
        key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def signed(spec: CollectionSpec, private: Path) -> bytes:
    from anybpf.engines.image.signing import private_key

    return compile_image(spec, key=private_key(private))


def test_programs_run_and_share_their_maps(runtime: Runtime, image: bytes, tmp_path: Path) -> None:
    """By path or by bytes, whatever the file is called: its content says what it is."""
    file = tmp_path / "counting.bin"
    file.write_bytes(image)
    for source in (file, str(file), image, memoryview(image)):
        with runtime.load(source) as loaded:
            program = loaded.program("main")
            assert [program.test_run(PACKET).retval for _ in range(3)] == [1, 2, 3]
            assert program.run_batch(PACKET * 4, stride=64)[3] == 7
            assert loaded.map("counts")[0] == (7).to_bytes(8, sys.byteorder)
            assert loaded.program("main1").test_run(PACKET).retval_name == "XDP_PASS"
            assert sorted(loaded.maps) == ["counts", "unused"]


def test_what_is_said_of_it_is_what_the_object_would_say(runtime: Runtime, image: bytes) -> None:
    """Listings and messages need no object: code, tag and lines are in the image."""
    with runtime.load(image) as native, runtime.load(counting(), engine="interpret") as other:
        one, two = native.program("main").info(), other.program("main").info()
        assert one.mode == "native"
        assert one.jited_prog_len > 0
        for field in ("type", "tag", "xlated_prog_insns", "gpl_compatible", "verified_insns"):
            assert getattr(one, field) == getattr(two, field)
        with pytest.raises(errors.NotSupported, match="verification of program main"):
            native.program("main").verification  # noqa: B018


def test_only_what_is_chosen_is_made(runtime: Runtime, image: bytes) -> None:
    with runtime.load(image, programs=["main1"]) as loaded:
        assert (list(loaded.programs), list(loaded.maps)) == (["main1"], [])
        assert loaded.program().test_run(PACKET).retval == 2
    with pytest.raises(NotFound, match=r"mian.*did you mean"):
        runtime.load(image, programs=["mian"])


def test_a_map_of_ones_own_is_used(runtime: Runtime, image: bytes) -> None:
    with runtime.create_map(map_spec()) as mine, runtime.load(image, maps={"counts": mine}) as it:
        it.program("main").test_run(PACKET)
        assert mine[0] == (1).to_bytes(8, sys.byteorder)


def test_a_map_of_another_shape_is_not(runtime: Runtime, image: bytes) -> None:
    """Sizes are compiled in: a map with other ones would be written past its end."""
    with (
        runtime.create_map(map_spec(entries=2)) as mine,
        pytest.raises(InputError, match="max entries is 2, not 4"),
    ):
        runtime.load(image, maps={"counts": mine})


def test_loading_needs_neither_verifier_nor_compiler(image: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.so"
    file.write_bytes(image)
    code = (
        "import sys\n"
        "from anybpf.runtime import load\n"
        f"with load({os.fspath(file)!r}) as it: print(it.program('main1').test_run().retval)\n"
        "print('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, *modules = done.stdout.split()
    assert first == "2"
    banned = ("anybpf.verifier", "anybpf.engines.lowering", "anybpf.objects.elf", "llvmlite")
    assert not [name for name in modules if name.startswith(banned)]
    assert "cryptography" not in modules
    assert "anybpf.objects.load" not in modules


def test_what_a_helper_in_python_raises_comes_out(runtime: Runtime) -> None:
    """Helpers of one's own are found by name, and end the run, as in the interpreter."""

    @helper("bpf_ktime_get_ns")
    def broken() -> int:
        raise ZeroDivisionError("by a helper")

    runtime.add_helper(broken)
    data = compile_image(collection("r6 = 1\ncall bpf_ktime_get_ns\nr0 = 1\nexit"))
    with runtime.load(data) as loaded, pytest.raises(ZeroDivisionError, match="by a helper"):
        loaded.program().test_run(PACKET)


def test_tables_that_changed_are_told_with_both_hashes(
    runtime: Runtime, image: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = platforms.get("linux").digest("xdp", "", [], [])
    monkeypatch.setattr(platforms.get("linux").program_type("xdp"), "returns", (ReturnRange(0, 9),))
    after = platforms.get("linux").digest("xdp", "", [], [])
    with pytest.raises(ImageError) as caught:
        runtime.load(image, programs=["main1"])
    for word in ("main1", before, after, "compile the object again"):
        assert word in str(caught.value)


def test_another_platform_is_told(windows: Runtime, image: bytes) -> None:
    with pytest.raises(InputError, match="compiled for linux; the runtime is one of windows"):
        windows.load(image)


def test_another_target_is_told(runtime: Runtime) -> None:
    target = "x86_64" if llvm.host().triple.startswith("aarch64") else "aarch64"
    data = compile_image(collection(PASS), target=f"{target}-linux-gnu")
    with pytest.raises(ImageError, match=f"compiled for {target}-linux-gnu"):
        runtime.load(data)


def test_an_image_is_not_interpreted(runtime: Runtime, image: bytes) -> None:
    with pytest.raises(InputError, match="compiled ahead"):
        runtime.load(image, engine="interpret")


def test_keys_are_asked_for(runtime: Runtime, image: bytes, tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    (tmp_path / "other").mkdir()
    _, other = keys(tmp_path / "other")
    data = signed(counting(), private)
    with runtime.load(data, key=public) as loaded:
        assert loaded.program("main1").test_run(PACKET).retval == 2
    with pytest.raises(ImageError, match="which is not allowed"):
        runtime.load(data, key=other)
    with pytest.raises(ImageError, match="it is not signed"):
        runtime.load(image, key=public)


class TestIntegrity:
    """Where code integrity is on, only machine code that the right people signed runs."""

    def test_signed_images_run(self, tmp_path: Path) -> None:
        private, public = keys(tmp_path)
        data = signed(counting(), private)
        with Runtime(policies=[integrity(public)]) as runtime, runtime.load(data) as loaded:
            assert loaded.program("main").test_run(PACKET).retval == 1

    @pytest.mark.parametrize("engine", ["auto", "interpret", "jit"])
    def test_objects_are_refused(self, engine: str, tmp_path: Path) -> None:
        _, public = keys(tmp_path)
        with Runtime(policies=[integrity(public)]) as runtime:
            with pytest.raises(PolicyError, match="policy 'integrity' says modes: native"):
                runtime.load(counting(), engine=engine)
            assert runtime.ids("program") == []

    def test_images_of_others_are_refused(self, image: bytes, tmp_path: Path) -> None:
        _, public = keys(tmp_path)
        (tmp_path / "other").mkdir()
        stranger = signed(counting(), keys(tmp_path / "other")[0])
        with Runtime(policies=[integrity(public)]) as runtime:
            with pytest.raises(errors.BlockedByPolicy, match="is not signed"):
                runtime.load(image)
            with pytest.raises(errors.BlockedByPolicy, match="is signed by key"):
                runtime.load(stranger)

    def test_a_stolen_name_does_not_help(self, tmp_path: Path) -> None:
        """The right key in the header, and something else behind it."""
        private, public = keys(tmp_path)
        data = bytearray(signed(counting(), private))
        data[-1] ^= 1
        with (
            Runtime(policies=[integrity(public)]) as runtime,
            pytest.raises(ImageError, match=r"signature by key .* is not good"),
        ):
            runtime.load(bytes(data))


def test_release_has_no_interpreter(image: bytes) -> None:
    with Runtime(policies=[release()]) as runtime:
        with pytest.raises(PolicyError, match="cannot run in mode interpret"):
            runtime.load(counting(), engine="interpret")
        with runtime.load(image) as loaded:
            assert loaded.program("main1").test_run(PACKET).retval == 2


def test_constants_are_compiled_in(runtime: Runtime) -> None:
    from anybpf.objects.specs import VariableSpec

    spec = collection(PASS)
    home = map_spec("case.rodata", entries=1)
    home.kind = "rodata"
    home.contents = [(bytes(4), bytes(8))]
    spec.maps[".rodata"] = home
    spec.variables["limit"] = VariableSpec("limit", ".rodata", 0, 4, home)
    data = compile_image(spec)
    with runtime.load(data) as loaded:
        assert loaded.variable("limit").data == bytes(4)
    with pytest.raises(InputError, match="before compiling"):
        runtime.load(data, variables={"limit": 3})


def test_values_of_the_configuration_are_compiled_in(
    runtime: Runtime, build: Callable[..., Path]
) -> None:
    from anybpf.objects import load_spec

    object_file = build(
        """
        #include <linux/bpf.h>
        extern int CONFIG_HZ __attribute__((section(".kconfig")));
        __attribute__((section("xdp"))) int p(struct xdp_md *c) { return CONFIG_HZ == 250 ? 2 : 1; }
        """
    )
    for text, wanted in (("CONFIG_HZ=250\n", 2), ("CONFIG_HZ=100\n", 1)):
        data = compile_image(load_spec(object_file), kconfig=text)
        with runtime.load(data) as loaded:
            assert loaded.program().test_run(PACKET).retval == wanted
    with pytest.raises(errors.LinkError, match="CONFIG_HZ"):
        compile_image(load_spec(object_file))
