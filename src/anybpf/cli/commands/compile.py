"""`anybpf compile`: programs proved and compiled ahead, as a shared library or as C.

Chooses what is compiled and for what; the work is done in `anybpf.engines.image` and
`anybpf.engines.lowering`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anybpf.cli.app import DONE, Parser, add_command
from anybpf.cli.files import Input, read_text, write_whole
from anybpf.cli.output import plural, print_json, print_lines, table
from anybpf.errors import InputError

if TYPE_CHECKING:
    from anybpf.engines.image.table import Image
    from anybpf.engines.proof import Proof
    from anybpf.objects import CollectionSpec

EXAMPLES = """\
anybpf compile droppacket.o -o droppacket.so
anybpf compile droppacket.o -o droppacket.so --sign key.pem
anybpf compile bindmonitor.o --platform windows --target aarch64-pc-windows-msvc -o bindmonitor.so
anybpf compile droppacket.o --emit c -o droppacket.c
anybpf compile droppacket.o --emit listing -o droppacket.txt
anybpf compile --show droppacket.so
"""


_TEXTS = {"c": "C text", "listing": "a listing"}


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "compile",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Prove that programs are safe, and compile them to a native image: a shared library "
            "that anybpf loads without compiler and verifier. Exit code 0 if it was written, 1 if "
            "a program is rejected or cannot be compiled, 2 if a file cannot be read."
        ),
    )
    parser.add_argument("file", metavar="FILE.o", help="the object; '-' is standard input")
    parser.add_argument("-o", dest="output", metavar="FILE.so", help="the image to write")
    parser.add_argument(
        "--target", metavar="TRIPLE", default="", help="machine and system (default: this one)"
    )
    parser.add_argument(
        "--hash",
        choices=("SHA256", "none"),
        default="SHA256",
        help="of the object, noted in the image (default: SHA256)",
    )
    parser.add_argument(
        "--sign", metavar="KEY.pem", help="sign the image with this Ed25519 private key"
    )
    parser.add_argument(
        "--emit",
        choices=("image", "c", "listing"),
        default="image",
        help="C instead, or the machine code beside bytecode and source (default: image)",
    )
    parser.add_argument(
        "--platform", default="linux", help="whose rules are to hold (default: linux)"
    )
    parser.add_argument(
        "--program", metavar="P", action="append", help="only this program; may be repeated"
    )
    parser.add_argument(
        "--kconfig", metavar="FILE", help="the kernel configuration that objects may ask for"
    )
    parser.add_argument(
        "--proof", metavar="P", help="of `anybpf verify --proof`: in place of the analysis"
    )
    parser.add_argument(
        "--key", metavar="KEYS", help="public keys, one of which must have signed the proof"
    )
    parser.add_argument(
        "--show", action="store_true", help="FILE is an image: say what is in it, run nothing"
    )


def run(args: argparse.Namespace) -> int:
    from anybpf import platforms
    from anybpf.objects.externs import resolve_config

    platforms.get(args.platform)  # a name that is not known is a matter of usage
    if args.show:
        return _show(args)
    if not args.output:
        raise InputError("say with -o where the result is to be written")
    key: Any = None
    if args.sign:
        if args.emit != "image":
            raise InputError(
                f"{_TEXTS[args.emit]} is not signed; sign the image that is made of an object"
            )
        from anybpf.engines.image.signing import private_key

        key = private_key(args.sign)
    source = Input(args.file)
    data = source.getvalue()
    spec = _read(source, args.platform)
    proof = _proof(args, data)
    kconfig = read_text(args.kconfig) if args.kconfig else ""
    if args.emit != "image":
        return _emit_text(args, resolve_config(spec, kconfig), proof)
    from anybpf.engines.image.compiling import compile_image

    image = compile_image(
        spec,
        platform=args.platform,
        programs=args.program,
        target=args.target,
        data=data if args.hash == "SHA256" else None,
        key=key,
        proof=proof,
        kconfig=kconfig,
    )
    write_whole(Path(args.output), image)
    _tell(args, image)
    return DONE


def _read(source: Input, platform: str) -> CollectionSpec:
    from anybpf.objects import load_spec

    return load_spec(source, platform=platform)


def _proof(args: argparse.Namespace, data: bytes) -> Proof | None:
    """The proof that is to be believed, if one was named."""
    if not args.proof:
        return None
    if not args.key:
        raise InputError("a proof is worth as much as the key that signed it: name it with --key")
    from anybpf.engines.image.signing import read_keys
    from anybpf.engines.proof import read_proof

    return read_proof(Path(args.proof).read_bytes(), data, read_keys(args.key), args.proof)


def _emit_text(args: argparse.Namespace, spec: CollectionSpec, proof: Proof | None) -> int:
    from anybpf.engines.image.compiling import chosen, prove
    from anybpf.platforms import get

    proved = prove(spec, get(args.platform), chosen(spec, args.program), kept=proof)
    if args.emit == "c":
        from anybpf.engines.lowering.c import emit_c

        text = emit_c(proved)
    else:
        from anybpf.engines.listing import emit_listing

        text = emit_listing(proved, args.target or None)
    write_whole(Path(args.output), text.encode())
    if args.json:
        names = [one.name for one in proved]
        print_json({"object": args.file, args.emit: args.output, "programs": names})
    return DONE


def _tell(args: argparse.Namespace, data: bytes) -> None:
    """What was made."""
    image = _parsed(data, args.output)
    if args.json:
        print_json(
            {"object": args.file, "image": args.output, "bytes": len(data), **_record(image)}
        )
        return
    signed = ", signed" if image.signed else ""
    print(
        f"{args.output}: {plural(len(image.programs), 'program')} for {image.target}, "
        f"{plural(len(data), 'byte')}{signed}"
    )


def _parsed(data: bytes, file: str) -> Image:
    from anybpf import _core
    from anybpf.engines.image.reading import read_image

    return read_image(data, file, abi=_core.NATIVE_ABI)


def _show(args: argparse.Namespace) -> int:
    source = Input(args.file)
    image = _parsed(source.getvalue(), source.name)
    record = _record(image)
    if args.json:
        print_json({"image": source.name, "bytes": len(source.getvalue()), **record})
        return DONE
    print(f"{source.name}: image for {image.target}, platform {image.spec.platform}")
    print(f"  interface {image.abi}, verifier {image.verifier}")
    print(f"  object    {image.object_hash or '(hash not noted)'}")
    print(f"  signed by {image.key.hex() or 'nobody'}")
    rows = [
        (one.name, one.type, one.section, len(one.code) // 8, one.size, one.tag, one.tables[:16])
        for one in image.programs.values()
    ]
    headings = ("program", "type", "section", "slots", "bytes", "tag", "tables")
    print_lines(["", *table(headings, rows, right="slots bytes")])
    maps = [
        (key, one.type, one.key_size, one.value_size, one.max_entries)
        for key, one in image.spec.maps.items()
    ]
    if maps:
        heads = ("map", "type", "key", "value", "entries")
        print_lines(["", *table(heads, maps, right="key value entries")])
    return DONE


def _record(image: Image) -> dict[str, Any]:
    return {
        "target": image.target,
        "platform": image.spec.platform,
        "interface": image.abi,
        "verifier": image.verifier,
        "object_sha256": image.object_hash,
        "key": image.key.hex(),
        "programs": [
            {
                "name": one.name,
                "section": one.section,
                "type": one.type,
                "attach_type": one.attach_type,
                "slots": len(one.code) // 8,
                "bytes": one.size,
                "tag": one.tag,
                "tables": one.tables,
                "helpers": list(one.helpers),
                "maps": list(one.maps),
            }
            for one in image.programs.values()
        ],
        "maps": [
            {
                "name": key,
                "type": one.type,
                "key_size": one.key_size,
                "value_size": one.value_size,
                "max_entries": one.max_entries,
            }
            for key, one in image.spec.maps.items()
        ],
    }
