"""`anybpf verify`: whether programs are safe to run, and if not why.

Chooses the programs and the layout; the proof is made in `anybpf.verifier`, the layouts are in
`anybpf.verifier.report`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anybpf.cli.app import BAD, DONE, NO, Parser, add_command
from anybpf.cli.files import Input, write_whole
from anybpf.cli.output import Progress, in_colour, print_error, print_json_line, print_lines
from anybpf.errors import AnyBPFError, InputError, NotFound

if TYPE_CHECKING:
    from anybpf.cli.kernel import Kernel
    from anybpf.objects import CollectionSpec, ProgramSpec
    from anybpf.verifier.verification import Verification

EXAMPLES = """\
anybpf verify droppacket.o
anybpf verify droppacket.o xdp --explain
anybpf verify *.o --json
anybpf verify droppacket.o --backend linux
anybpf verify bpf_lxc.o --program handle_policy --html report.html
anybpf verify droppacket.o --proof droppacket.proof --sign key.pem
anybpf verify bindmonitor.o --platform windows --style netsh --verbosity informational
"""


def configure(subparsers: argparse._SubParsersAction[Parser], summary: str) -> None:
    parser = add_command(
        subparsers,
        "verify",
        summary,
        run,
        examples=EXAMPLES,
        description=(
            "Prove that programs are safe to run, or say what speaks against it. Exit code 0 if "
            "all pass, 1 if one is rejected, 2 if a file cannot be read or a program cannot be "
            "analysed. With --json, one JSON object for each program, on a line of its own."
        ),
    )
    parser.add_argument(
        "operands",
        metavar="FILE.o",
        nargs="+",
        help="the objects; '-' is standard input; behind them, a section: only its programs",
    )
    parser.add_argument("--program", metavar="P", help="only this program")
    parser.add_argument("--type", metavar="TYPE", default="", help="verify as this program type")
    parser.add_argument(
        "--platform", default="linux", help="whose rules are to hold (default: linux)"
    )
    parser.add_argument(
        "--explain", action="store_true", help="a paragraph for each finding: what, why, what to do"
    )
    parser.add_argument(
        "--invariants", action="store_true", help="print what is known before each instruction"
    )
    layout = parser.add_mutually_exclusive_group()
    layout.add_argument(
        "--log", choices=("linux",), help="print in the shape of the kernel's verifier log"
    )
    layout.add_argument(
        "--style", choices=("anybpf", "netsh"), default="anybpf", help="(default: anybpf)"
    )
    parser.add_argument(
        "--verbosity",
        choices=("normal", "informational", "verbose"),
        default="normal",
        help="how much style netsh says (default: normal)",
    )
    parser.add_argument(
        "--proof", metavar="P", help="keep what was proved of all programs of one object"
    )
    parser.add_argument(
        "--sign", metavar="KEY.pem", help="sign the proof with this Ed25519 private key"
    )
    parser.add_argument(
        "--backend",
        choices=("embedded", "linux"),
        default="embedded",
        help="linux: what this machine's kernel says, too, and its log if it refuses a program",
    )
    parser.add_argument("--html", metavar="OUT.html", help="write all of it as one page, too")


class Run:
    """One call of the command: what it was asked, and what it has found so far."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.code = DONE
        self.verified: list[tuple[str, Verification]] = []
        self.proved: list[Verification] = []
        self.records = bool(
            args.explain
            or args.invariants
            or args.log
            or args.html
            or (args.style == "netsh" and args.verbosity != "normal")
        )
        self.progress = Progress(0)
        self.kernel: Kernel | None = None
        if args.backend == "linux":
            from anybpf.cli.kernel import Kernel

            self.kernel = Kernel()

    def fail(
        self, file: str, error: Exception, program: ProgramSpec | None = None, hint: str = ""
    ) -> None:
        """Something cannot be analysed: say so, and go on with the next."""
        self.code = BAD
        self.progress.clear()
        message = _message(error) + hint
        if self.args.json:
            from anybpf.verifier.report.json import error_record

            print_json_line(
                error_record(
                    file,
                    message,
                    section="" if program is None else program.section,
                    program="" if program is None else program.name,
                    type_name="" if program is None else self.args.type or program.type,
                )
            )
            return
        who = "" if program is None else f"{file}: {program.name}: "
        print_error(f"{self.args.parser.prog}: {who}{message}")

    def verify(self, file: str, program: ProgramSpec, spec: CollectionSpec) -> None:
        from anybpf.verifier import verify

        try:
            verification = verify(
                program,
                spec,
                platform=self.args.platform,
                type=self.args.type,
                record=self.records,
            )
        except AnyBPFError as error:
            self.fail(file, error, program)
            return
        if not verification.ok and self.code == DONE:
            self.code = NO
        if self.args.html:
            self.verified.append((file, verification))
        self.proved.append(verification)
        theirs = None if self.kernel is None else self.kernel.judge(program, spec)
        self.progress.clear()
        if self.args.json:
            from anybpf.verifier.report.json import record

            ours = record(
                verification,
                file,
                explained=self.args.explain,
                invariants=self.args.invariants,
            )
            print_json_line(ours if theirs is None else {**ours, "kernel": theirs.as_json()})
        else:
            print_lines(self.lines(file, verification))
            if theirs is not None:
                print_lines(theirs.lines(whole=self.args.explain))

    def lines(self, file: str, verification: Verification) -> list[str]:
        """The report on one program in the layout that was asked for."""
        if self.args.log:
            from anybpf.verifier.report import linux_log

            return linux_log.lines(verification)
        if self.args.style == "netsh":
            from anybpf.verifier.report import netsh

            return netsh.lines(verification, self.args.verbosity)
        from anybpf.verifier.report import text

        return text.lines(
            verification,
            file,
            explained=self.args.explain,
            invariants=self.args.invariants,
            paint=text.Paint(in_colour()),
        )


def run(args: argparse.Namespace) -> int:
    from anybpf import platforms

    platform = platforms.get(args.platform)  # a name that is not known is a matter of usage
    if args.type:
        platform.program_type(args.type)
    if args.backend == "linux" and (args.type or platform.name != "linux"):
        raise InputError(
            "the kernel judges programs as they are, for Linux: leave --type and --platform away"
        )
    work = Run(args)
    key = _key(args)
    files = Files(args.operands, args.platform)
    if args.proof and len(files.names) != 1:
        raise InputError("a proof is one of a single object: name one file")
    found = 0
    for file in files.names:
        try:
            name, spec = files.load(file)
        except (AnyBPFError, OSError) as error:
            work.fail(file, error, hint=files.hint if file == files.doubtful else "")
            continue
        programs = choose(spec, files.section, args.program or "")
        found += len(programs)
        work.progress = Progress(len(programs))
        for program in programs:
            work.progress.step(program.name)
            work.verify(name, program, spec)
        work.progress.clear()
        if not spec.programs and not args.json:
            print_error(f"{args.parser.prog}: {name}: no programs")
    if args.program and not found and work.code != BAD:
        raise files.nothing(args.program)
    if args.html and work.verified:
        from anybpf.verifier.report.html import page

        write_whole(Path(args.html), page(work.verified).encode())
    if args.proof and work.code == DONE:
        _keep_proof(args.proof, work.proved, files, key)
    return work.code


def _key(args: argparse.Namespace) -> Any:
    """What signs the proof. Looked for before the work is done, not after."""
    if not args.sign:
        return None
    if not args.proof:
        raise InputError("--sign signs a proof: say with --proof where it is to be written")
    if args.type:
        raise InputError("a proof is one of programs as they are: leave --type away")
    from anybpf.engines.image.signing import private_key

    return private_key(args.sign)


def _keep_proof(output: str, proved: list[Verification], files: Files, key: Any) -> None:
    from anybpf.engines import prepare
    from anybpf.engines.proof import make_proof

    spec = None if not proved else proved[0].collection
    if spec is None:
        raise InputError(f"{files.names[0]}: there is no program to keep a proof of")
    made = [prepare(one.program, one) for one in proved]
    write_whole(Path(output), make_proof(made, files.data, spec, key))


class Files:
    """The objects that were named, and the section behind them if there is one.

    The last word is a section if it is no file and a program of one of the files is in it. Files
    that had to be looked into to know that are read only once.
    """

    def __init__(self, words: list[str], platform: str) -> None:
        self.names = words
        self.section = ""
        self.doubtful = ""
        self.hint = ""
        self._platform = platform
        self._loaded: dict[str, tuple[str, CollectionSpec]] = {}
        self.data = b""  # of the file that was read last
        self._there: list[str] = []
        self._called: set[str] = set()  # subprograms, and the sections that they are in
        last = Path(words[-1])
        if len(words) == 1 or words[-1] == "-" or (last.exists() and not last.is_dir()):
            return
        for file in words[:-1]:
            try:
                name, spec = self.load(file)
            except (AnyBPFError, OSError):
                continue  # told when its turn comes
            self._loaded[file] = (name, spec)
            if choose(spec, words[-1], ""):
                self.section = words[-1]
        if self.section:
            self.names = words[:-1]
        else:
            self.doubtful = words[-1]
            self.hint = f", and no program is in a section of that name{self.choices(words[-1])}"

    def load(self, file: str) -> tuple[str, CollectionSpec]:
        """A file's name for people, and what it says."""
        from anybpf.objects import load_spec

        known = self._loaded.pop(file, None)
        if known is not None:
            return known
        source = Input(file)
        self.data = source.getvalue()
        spec = load_spec(source, platform=self._platform)
        self._there += [f"{p.name} ({p.section})" for p in spec.programs.values()]
        for function in spec.functions.values():
            if function.name not in spec.programs:
                self._called |= {function.name, function.section}
        return source.name, spec

    def choices(self, wanted: str) -> str:
        """What there is instead of what was wanted."""
        part = ", only functions that are verified with the programs that call them"
        there = f"; there are: {', '.join(self._there)}" if self._there else ""
        return f"{part if wanted in self._called else ''}{there}"

    def nothing(self, program: str) -> NotFound:
        """The error for a choice that leaves nothing, which says what there is."""
        where = f" in section {self.section}" if self.section else ""
        return NotFound(
            f"{', '.join(self.names)}: no program {program}{where}{self.choices(program)}"
        )


def choose(spec: CollectionSpec, section: str, name: str) -> list[ProgramSpec]:
    """The programs of a file that are meant, in the file's order."""
    return [
        program
        for program in spec.programs.values()
        if (not section or program.section.removeprefix("?") == section.removeprefix("?"))
        and (not name or name in (program.name, program.function.symbol))
    ]


def _message(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return str(error).rstrip()
