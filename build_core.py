"""Compiles the pure core with mypyc: `python build_core.py DIRECTORY`.

`sip`, `sdp` and `calls` are typed and pure, so that they become C extensions of the same sources. DIRECTORY/package
holds the whole package afterwards, sources and extensions, as it is imported from a wheel; with it in PYTHONPATH every
test runs against the compiled form. Development and editable installations run the sources.
"""

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from build_records import stays_plain, written_out

SOURCE = Path(__file__).parent / "src"
ROOMS = ("sip", "sdp", "calls")
GROUP = "offhook_core"
"""Names the one library that holds all compiled code, `offhook_core__mypyc`; a module's own extension points into it."""
OPTIONS = ("--config-file=", "--ignore-missing-imports", "--no-incremental", "--show-traceback")
FLAGS = ("-O1", "-fPIC", "-DNDEBUG", "-fvisibility=hidden", "-w")
"""Enough that a wheel does not take long; the warnings would be of generated code."""


def obstacle() -> str | None:
    """What this machine lacks for it, None when everything is there."""
    if shutil.which(_compiler()[0]) is None:
        return "there is no C compiler"
    if not Path(sysconfig.get_paths()["include"], "Python.h").exists():
        return "Python's header files are missing (Debian, Ubuntu: apt install python3-dev)"
    try:
        import mypyc.build  # noqa: F401
    except ImportError:
        return "mypy is not installed"
    return None


def build(directory: Path, jobs: int | None = None) -> list[Path]:
    """Compiles into the directory, which is made anew. Returns the extensions, below `directory/package`.

    `jobs` compilers run at once, as many as there are cores if it is None; CFLAGS are added to ours.
    """
    work, package = (directory / "work").resolve(), (directory / "package").resolve()
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(SOURCE / "offhook", package / "offhook", ignore=shutil.ignore_patterns("__pycache__"))
    modules = [path.relative_to(package) for path in _core(package)]
    for module in modules:
        target = work / module
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(written_out((package / module).read_text()))
    for path in package.joinpath("offhook").rglob("*.py"):
        if not (target := work / path.relative_to(package)).exists() and _read_by_core(path.relative_to(package)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    with contextlib.chdir(work):
        return _compile(_translate(modules), package, jobs or os.cpu_count() or 1)


def _core(package: Path) -> Iterable[Path]:
    for room in ROOMS:
        for path in sorted(Path(package, "offhook", room).rglob("*.py")):
            if path.name != "__init__.py" and not stays_plain(path.read_text()):
                yield path


def _read_by_core(module: Path) -> bool:
    return module.parts[1] in (*ROOMS, "record.py", "__init__.py")


def _compiler() -> list[str]:
    return (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()


def _translate(modules: list[Path]) -> list[tuple[str, list[str], list[str]]]:
    """Python to C. Returns name, C files and folders of headers of each extension."""
    from mypyc.build import mypycify

    words = io.StringIO()
    try:
        with contextlib.redirect_stdout(words):
            made = mypycify([*OPTIONS, *map(str, modules)], multi_file=True, target_dir="c", group_name=GROUP)
    except SystemExit:
        print("\n".join(line for line in words.getvalue().splitlines() if "warning:" not in line), file=sys.stderr)
        raise
    return [(one.name, list(one.sources), list(one.include_dirs)) for one in made]


def _compile(extensions: list[tuple[str, list[str], list[str]]], package: Path, jobs: int) -> list[Path]:
    """C to extensions."""
    flags = [*FLAGS, *os.environ.get("CFLAGS", "").split()]
    python, ending = sysconfig.get_paths()["include"], sysconfig.get_config_var("EXT_SUFFIX")

    def compiled(source: str, headers: list[str]) -> str:
        target = source.removesuffix(".c") + ".o"
        includes = [f"-I{folder}" for folder in (*headers, python)]
        subprocess.run([*_compiler(), *flags, *includes, "-c", source, "-o", target], check=True)
        return target

    with ThreadPoolExecutor(jobs) as pool:
        started = [
            (name, [pool.submit(compiled, source, headers) for source in files]) for name, files, headers in extensions
        ]
    made = []
    for name, objects in started:
        target = package / (name.replace(".", "/") + ending)
        subprocess.run(
            [*_compiler(), "-shared", "-s", *(one.result() for one in objects), "-o", str(target)], check=True
        )
        made.append(target)
    return made


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="where the compiled package goes; made anew")
    parser.add_argument("--jobs", type=int, help="compilers at once; as many as there are cores if not given")
    arguments = parser.parse_args()
    where = arguments.directory
    if (lacking := obstacle()) is not None:
        sys.exit(f"the core cannot be compiled: {lacking}")
    print(f"{len(build(where, arguments.jobs))} extensions; PYTHONPATH={where / 'package'}")
