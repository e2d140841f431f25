"""LLVM as a compiler: from its text to an object file, by way of llvmlite.

llvmlite is imported when something is compiled, and not before. What the text says and how the
object gets into memory are no business of this module: see lowering/llvm and linking.py.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from anybpf.errors import CompileError, NotSupported

if TYPE_CHECKING:
    from types import ModuleType

# Dividing by a 32-bit instruction where both sides happen to be small costs more in compares and
# jumps than it saves on today's processors.
_X86_FEATURES: Final = "-idivq-to-divl"
# Multiplying vectors of 64-bit numbers takes five times as long as LLVM believes, but on AMD's: it
# makes hashes slower by vectors of them.
_SLOW_VECTORS: Final = "-avx512dq"
_QUICK_VECTORS: Final = "znver"
# What LLVM calls any processor. Without a name it would leave loops as they are.
_ANY_CPU: Final = {"x86_64": "x86-64", "aarch64": "generic"}
# What decides about an object besides its text, the processor and the level: belongs into its key
# in the cache. The number counts up where the way of compiling changes.
RECIPE: Final = f"1 {_X86_FEATURES} {_SLOW_VECTORS} {_QUICK_VECTORS}"

_lock = Lock()
_binding: ModuleType | None = None
_machines: dict[tuple[str, str, str, int, bool], Any] = {}
_host: Host | None = None


class Host:
    """The machine that this process runs on, as LLVM calls it.

    ``triple`` names the object format ELF whatever the system's own is: what is compiled for this
    process is linked by this process.
    """

    __slots__ = ("cpu", "features", "triple", "version")

    def __init__(self, triple: str, cpu: str, features: str, version: str) -> None:
        self.triple: str = triple
        self.cpu: str = cpu
        self.features: str = features
        self.version: str = version

    def __repr__(self) -> str:
        return f"<Host {self.triple}, {self.cpu}, LLVM {self.version}>"


def is_there() -> bool:
    """Whether something can be compiled, found out without importing anything heavy."""
    if _binding is not None or sys.modules.get("llvmlite") is not None:
        return True
    from importlib.util import find_spec

    return find_spec("llvmlite") is not None


def host() -> Host:
    """This machine; :class:`NotSupported` where llvmlite is missing."""
    global _host
    llvm = _load()
    if _host is None:
        triple = own_triple(llvm.get_process_triple())
        features = [llvm.get_host_cpu_features().flatten()]
        if triple.startswith("x86_64"):
            features.append(_X86_FEATURES)
            if not llvm.get_host_cpu_name().startswith(_QUICK_VECTORS):
                features.append(_SLOW_VECTORS)
        elif sys.platform in ("darwin", "win32"):
            features.append("+reserve-x18")  # the system's own there
        version = ".".join(str(part) for part in llvm.llvm_version_info)
        _host = Host(triple, llvm.get_host_cpu_name(), ",".join(filter(None, features)), version)
    return _host


def own_triple(triple: str) -> str:
    """The triple whose calls are those of ``triple``, and whose objects are ELF.

    >>> own_triple("arm64-apple-darwin23.1.0")
    'aarch64-unknown-linux-gnu'
    >>> own_triple("x86_64-pc-windows-msvc")
    'x86_64-pc-windows-msvc-elf'
    """
    machine = triple.split("-")[0]
    if "windows" in triple or "mingw" in triple or "cygwin" in triple:
        return f"{machine}-pc-windows-msvc-elf"
    if "apple" in triple or "darwin" in triple:
        machine = "aarch64" if machine.startswith("arm64") else machine
        return f"{machine}-unknown-linux-gnu"
    return triple


def compile_ir(
    text: str,
    *,
    triple: str | None = None,
    cpu: str | None = None,
    features: str | None = None,
    optimize: int = 2,
    pic: bool = False,
    options: Sequence[str] = (),
    name: str = "",
) -> bytes:
    """An object file from LLVM's text.

    Without a triple it is for this machine and its processor, and otherwise for any processor of
    the target unless ``cpu`` and ``features`` say more. Without ``pic`` the code is to be linked
    where it will lie, wherever that is. ``options`` are LLVM's own, as on a command line: the
    first use of one holds for the process. ``name`` is what messages call the program.
    """
    llvm = _load()
    if triple is None:
        machine = host()
        triple = machine.triple
        cpu = machine.cpu if cpu is None else cpu
        features = machine.features if features is None else features
    cpu = cpu or _ANY_CPU.get(triple.split("-")[0], "")
    target = _machine(llvm, triple, cpu, features or "", optimize, pic)
    _set_options(llvm, tuple(options))
    # A context of its own: types and constants go with it, and nothing stays but the object.
    context = llvm.create_context()
    try:
        module = llvm.parse_assembly(text, context=context)
    except RuntimeError as error:
        raise CompileError(
            f"LLVM {_version(llvm)} does not read what it was given: {_first_line(error)}; "
            "this is a mistake of anybpf's, please report it",
            program=name,
        ) from None
    with module:
        module.triple = triple
        module.data_layout = str(target.target_data)
        try:
            module.verify()
            if optimize > 0:
                _optimize(llvm, target, module, optimize)
            return bytes(target.emit_object(module))
        except RuntimeError as error:
            raise CompileError(
                f"LLVM {_version(llvm)} cannot compile it for {triple}: {_first_line(error)}; "
                "this is a mistake of anybpf's, please report it",
                program=name,
            ) from None


def assembly(text: str, *, triple: str | None = None, optimize: int = 2) -> str:
    """What :func:`compile_ir` makes, as assembly text for people to read."""
    llvm = _load()
    machine = host()
    own = triple is None
    target = _machine(
        llvm,
        triple or machine.triple,
        machine.cpu if own else "",
        machine.features if own else "",
        optimize,
        False,
    )
    with llvm.parse_assembly(text, context=llvm.create_context()) as module:
        module.triple = triple or machine.triple
        module.data_layout = str(target.target_data)
        if optimize > 0:
            _optimize(llvm, target, module, optimize)
        return str(target.emit_assembly(module))


def _load() -> Any:
    """llvmlite's binding with all targets known."""
    global _binding
    if _binding is None:
        with _lock:
            if _binding is None:
                try:
                    import llvmlite.binding as llvm
                except ImportError as error:
                    raise NotSupported(
                        "compiling programs (install llvmlite, `pip install anybpf[jit]`)",
                        where="an installation without it",
                    ) from error
                llvm.initialize_all_targets()
                llvm.initialize_all_asmprinters()
                _binding = llvm
    return _binding


def _machine(llvm: Any, triple: str, cpu: str, features: str, optimize: int, pic: bool) -> Any:
    """The target machine; made once, because it takes longer than a small program."""
    key = (triple, cpu, features, optimize, pic)
    with _lock:
        machine = _machines.get(key)
        if machine is None:
            try:
                target = llvm.Target.from_triple(triple)
            except RuntimeError as error:
                raise NotSupported(
                    f"compiling for {triple} ({_first_line(error)})", where=f"LLVM {_version(llvm)}"
                ) from None
            machine = target.create_target_machine(
                cpu=cpu,
                features=features,
                opt=optimize,
                reloc="pic" if pic else "static",
                codemodel="small" if pic else "large",
            )
            _machines[key] = machine
    return machine


def _optimize(llvm: Any, target: Any, module: Any, level: int) -> None:
    tuning = llvm.create_pipeline_tuning_options(speed_level=level)
    tuning.loop_vectorization = True
    tuning.slp_vectorization = True
    tuning.loop_interleaving = True
    tuning.loop_unrolling = True
    with llvm.create_pass_builder(target, tuning) as builder:
        passes = builder.getModulePassManager()
        try:
            passes.run(module, builder)
        finally:
            _free(passes)


def _free(passes: Any) -> None:
    """What llvmlite's own ``close`` would do, if the method that frees pass managers did not stand
    behind an empty one (0.44 to 0.50). That is 95 KiB a program."""
    for parent in type(passes).__mro__:
        if parent.__name__ == "NewPassManager":
            parent._dispose(passes)  # type: ignore[attr-defined]
            passes.detach()
            return
    passes.close()


_options: set[str] = set()


def _set_options(llvm: Any, options: tuple[str, ...]) -> None:
    for option in options:
        if option not in _options:
            _options.add(option)
            llvm.set_option("anybpf", option)


def _version(llvm: Any) -> str:
    return ".".join(str(part) for part in llvm.llvm_version_info)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split("\n\n")[0].split())[:300] or type(error).__name__
