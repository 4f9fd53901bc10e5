"""What a program says of itself, as far as it decides whether Lambda can start it: the processors that it is for, the glibc that it
needs, and the folders in which it looks for libraries.

    tools/elf.py <x86_64|arm64> [--lambda] <program>     ends with 1 and says why where it cannot be used
"""

import re
import struct
import sys
from pathlib import Path
from typing import NamedTuple

MACHINES = {62: "x86_64", 183: "arm64"}
# Of Amazon Linux 2023, on which `provided.al2023` stands.
GLIBC = (2, 34)
LOAD, DYNAMIC = 1, 2
STRINGS, RPATH, RUNPATH, NEEDED_VERSIONS = 5, 15, 29, 0x6FFFFFFE


class NotElf(Exception):
    pass


class Program(NamedTuple):
    architecture: str
    # The newest one that a symbol is taken from.
    glibc: tuple
    paths: list


def read(data):
    """Reads a 64-bit little-endian ELF file, which programs of both architectures are."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise NotElf
    (machine,) = struct.unpack_from("<H", data, 18)
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    # Of each segment its type, and where it lies in the file and in memory.
    segments = [struct.unpack_from("<I4xQQ8xQ", data, table + at * size) for at in range(count)]

    def place(address):
        for kind, offset, start, length in segments:
            if kind == LOAD and start <= address < start + length:
                return address - start + offset
        raise NotElf

    dynamic = []
    for _, offset, _, length in (segment for segment in segments if segment[0] == DYNAMIC):
        dynamic += struct.iter_unpack("<qQ", data[offset : offset + length])
    entries = dict(dynamic)

    def text(at):
        start = place(entries[STRINGS]) + at
        return data[start : data.index(b"\0", start)].decode()

    paths = [text(value) for tag, value in dynamic if tag in (RPATH, RUNPATH)]
    versions = [text(name) for name in needed(data, place(entries[NEEDED_VERSIONS]))] if NEEDED_VERSIONS in entries else []
    glibc = [tuple(map(int, version[6:].split("."))) for version in versions if re.fullmatch(r"GLIBC_[0-9.]+", version)]
    return Program(MACHINES.get(machine, f"machine {machine}"), max(glibc, default=(2, 0)), paths)


def needed(data, at):
    """Names of the versions that each library is asked for."""
    while True:
        count, first, step = struct.unpack_from("<2xH4xII", data, at)
        one = at + first
        for _ in range(count):
            name, following = struct.unpack_from("<8xII", data, one)
            yield name
            one += following
        if step == 0:
            return
        at += step


def faults(name, data, architecture, on_lambda=False):
    """Why a program cannot be used; nothing where it can."""
    try:
        program = read(data)
    except (NotElf, struct.error, KeyError, ValueError, IndexError):
        return [f"{name} is no program for Linux"]
    if program.architecture != architecture:
        return [f"{name} is built for {program.architecture} and must be for {architecture}; build it with "
                f"SLUICE_ARCHITECTURE={architecture}, or take a release's files with {architecture} in their names"]
    found = []
    if on_lambda and program.glibc > GLIBC:
        needs, has = (".".join(map(str, version)) for version in (program.glibc, GLIBC))
        found.append(f"{name} needs glibc {needs}, and Lambda has {has}: build it with SLUICE_PROFILE=dist, or take a release's files")
    if on_lambda and program.paths:
        found.append(f"{name} looks for libraries in {', '.join(program.paths)}: build it with SLUICE_PROFILE=dist")
    return found


def main(arguments):
    on_lambda = "--lambda" in arguments
    architecture, path = (argument for argument in arguments if argument != "--lambda")
    found = faults(Path(path).name, Path(path).read_bytes(), architecture, on_lambda)
    sys.exit("\n".join(found) or 0)


if __name__ == "__main__":
    main(sys.argv[1:])
