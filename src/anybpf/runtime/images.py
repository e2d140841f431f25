"""Loading native images: what stands in place of reading an object, proving and preparing it.

The order of the steps is that of ``loading``; what an image is, and how it is checked, is the
business of ``anybpf.engines.image``. Nothing here needs the verifier or a compiler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from anybpf.engines.image.binding import ImageCode, load_image, prepared_of
from anybpf.engines.image.reading import signer
from anybpf.engines.image.table import Image, ImageProgram
from anybpf.engines.prepared import Prepared
from anybpf.errors import InputError
from anybpf.objects.specs import CollectionSpec, Function, ProgramSpec
from anybpf.runtime.policy import NATIVE, Policy
from anybpf.runtime.program import ProgramRecord
from anybpf.runtime.runtime import Runtime


def read(
    data: bytes, file: str, runtime: Runtime, keys: frozenset[bytes] | None
) -> tuple[Image, CollectionSpec]:
    """The image, if the runtime's policies let it be loaded, and what it says as specs.

    The specs of programs have no instructions: what runs is machine code.
    """
    what = f"image {file or '(without a name)'}"
    for policy in runtime.policies:
        policy.check_mode(NATIVE, what)
    signed_by = signer(data, file)
    for policy in runtime.policies:
        policy.check_signer(signed_by, what)
    image = load_image(data, file, allowed_keys(keys, runtime.policies))
    spec = image.spec
    if spec.platform != runtime.platform.name:
        raise InputError(
            f"{what} was compiled for {spec.platform}; the runtime is one of "
            f"{runtime.platform.name}: load it with platform={spec.platform!r}"
        )
    for name, one in image.programs.items():
        spec.programs[name] = _shell(one, spec)
    return image, spec


def allowed_keys(
    keys: frozenset[bytes] | None, policies: Iterable[Policy]
) -> frozenset[bytes] | None:
    """The keys that may have signed what is loaded; None: it need not be signed."""
    for policy in policies:
        if policy.keys is not None:
            keys = policy.keys if keys is None else keys & policy.keys
    return keys


def _shell(one: ImageProgram, spec: CollectionSpec) -> ProgramSpec:
    program = ProgramSpec(Function(one.name, one.section, 0, []), one.section)
    program.type = one.type
    program.attach_type = one.attach_type
    program.attach_to = one.attach_to
    program.license = one.license
    program.flags = one.flags
    program.autoload = one.autoload
    program.platform = spec.platform
    return program


def prepared(image: Image, names: Iterable[str], runtime: Runtime) -> dict[str, Prepared]:
    """The programs as engines take them, if the platform's tables are what they were."""
    return {name: prepared_of(image, image.programs[name], runtime.platform) for name in names}


def bind(image: Image, records: Mapping[str, ProgramRecord]) -> None:
    """From now on the programs run the image's code."""
    ImageCode(image, {name: record.core for name, record in records.items()})
    for name, record in records.items():
        record.native_size = image.programs[name].size
