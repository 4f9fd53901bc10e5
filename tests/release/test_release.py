"""What a release holds, from a folder like the one that `sam build` leaves, and that a machine takes its programs from it."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import elf  # noqa: E402
import release  # noqa: E402
import take_binaries  # noqa: E402

# Prints the name that it was started by.
SOURCE = '#include <stdio.h>\n#include <string.h>\nint main(int n, char **of) { puts(strrchr(of[0], 47) + 1); return n - 1; }\n'


class Release(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Programs as a compiler of this machine makes them: one as it should be, and one that looks for libraries."""
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        source, cls.program, cls.looking = (Path(folder.name, name) for name in ("source.c", "program", "looking"))
        source.write_text(SOURCE)
        for program, flags in ((cls.program, []), (cls.looking, ["-Wl,-rpath,$ORIGIN/libraries"])):
            subprocess.run(["cc", "-o", program, source, *flags], check=True)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.built, self.files = Path(folder.name, "built"), Path(folder.name, "files")
        self.files.mkdir()
        function = self.built / "ExtractExchangeRates"
        (function / "platform").mkdir(parents=True)
        (function / "bootstrap").write_bytes(b"a binary" * 1000)
        (function / "platform/sources.yaml").write_text("version: 1\n")
        (self.built / "template.yaml").write_text("Resources: {}\n")

    def test_a_function_is_named_as_its_package(self):
        self.assertEqual(list(release.functions(self.built)), ["extract-exchange-rates"])

    def test_a_zip_does_not_say_when_it_was_made(self):
        function = self.built / "ExtractExchangeRates"
        first, second = self.files / "first.zip", self.files / "second.zip"
        release.pack(function, first)
        os.utime(function / "bootstrap", (0, 1_700_000_000))
        release.pack(function, second)
        self.assertEqual(first.read_bytes(), second.read_bytes())

    def test_the_binary_in_a_zip_may_be_executed(self):
        archive = self.files / "function.zip"
        release.pack(self.built / "ExtractExchangeRates", archive)
        with zipfile.ZipFile(archive) as packed:
            modes = {entry.filename: oct(entry.external_attr >> 16 & 0o777) for entry in packed.infolist()}
        self.assertEqual(modes, {"bootstrap": "0o755", "platform/sources.yaml": "0o644"})

    def test_every_file_has_a_checksum_but_the_checksums(self):
        (self.files / "b.zip").write_bytes(b"b")
        (self.files / "a.zip").write_bytes(b"a")
        release.sums(self.files, "x86_64")
        wanted = [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}.zip" for name in "ab"]
        self.assertEqual((self.files / "SHA256SUMS-x86_64").read_text().splitlines(), wanted)

    def for_arm(self):
        """The same program, which says that it is for ARM."""
        data = bytearray(self.program.read_bytes())
        data[18:20] = (183).to_bytes(2, "little")
        return bytes(data)

    def test_a_zip_that_lambda_could_not_start_is_not_released(self):
        newest = "GLIBC_" + ".".join(map(str, elf.read(self.program.read_bytes()).glibc))
        younger = self.program.read_bytes().replace(newest.encode() + b"\0", newest[:-2].encode() + b"99\0")
        for data, architecture, fault in (
            (self.for_arm(), "x86_64", "is built for arm64 and must be for x86_64"),
            (self.program.read_bytes(), "arm64", "is built for x86_64 and must be for arm64"),
            (self.looking.read_bytes(), "x86_64", "looks for libraries in $ORIGIN/libraries"),
            (younger, "x86_64", "needs glibc 2.99, and Lambda has 2.34"),
            (b"#!/bin/sh\n", "arm64", "is no program for Linux"),
        ):
            (self.built / "ExtractExchangeRates/bootstrap").write_bytes(data)
            release.pack(self.built / "ExtractExchangeRates", self.files / f"function-{architecture}.zip")
            with self.assertRaises(SystemExit) as refused:
                release.check(self.files, architecture)
            self.assertIn(f"release: function-{architecture}.zip {fault}", str(refused.exception))
            (self.files / f"function-{architecture}.zip").unlink()

    def test_a_zip_for_either_architecture_is_released(self):
        for data, architecture in ((self.program.read_bytes(), "x86_64"), (self.for_arm(), "arm64")):
            (self.built / "ExtractExchangeRates/bootstrap").write_bytes(data)
            release.pack(self.built / "ExtractExchangeRates", self.files / f"function-{architecture}.zip")
            release.check(self.files, architecture)

    def released(self):
        """A release with programs that print their own names."""
        programs = Path(self.built, "programs")
        for name in take_binaries.functions():
            folder = Path(self.built, name)
            folder.mkdir()
            shutil.copy(self.program, folder / "bootstrap")
            release.pack(folder, self.files / f"{name}-x86_64.zip")
        programs.mkdir()
        for name in release.PROGRAMS:
            shutil.copy(self.program, programs / name)
        release.pack(programs, self.files / take_binaries.ONE_MACHINE)
        release.sums(self.files, "x86_64")
        # Of the other architecture, which nobody needs here: fetched or not.
        (self.files / "SHA256SUMS-arm64").write_text(f"{'0' * 64}  load-commits-arm64.zip\n")
        return self.files

    def test_a_machine_takes_every_program_of_a_release_and_runs_it(self):
        taken = Path(self.built, "taken")
        self.assertTrue(take_binaries.take(self.released(), taken))
        names = [*take_binaries.functions(), *release.PROGRAMS]
        said = [subprocess.run([taken / name], capture_output=True, text=True).stdout.strip() for name in names]
        self.assertEqual(said, names)
        self.assertFalse(take_binaries.take(self.files, taken), "what is there is left as it is")

    def test_a_folder_of_binaries_is_taken_too(self):
        for name in [*take_binaries.functions(), *release.PROGRAMS]:
            shutil.copy(self.program, self.files / name)
        taken = Path(self.built, "taken")
        take_binaries.take(self.files, taken)
        self.assertEqual((taken / "sluice-local").read_bytes(), self.program.read_bytes())

    def test_a_program_for_other_processors_is_not_taken(self):
        for name in [*take_binaries.functions(), *release.PROGRAMS]:
            shutil.copy(self.program, self.files / name)
        (self.files / "load-commits").write_bytes(self.for_arm())
        with self.assertRaisesRegex(SystemExit, "load-commits is built for arm64 and must be for x86_64"):
            take_binaries.take(self.files, Path(self.built, "taken"))

    def test_a_file_that_is_missing_or_other_than_its_checksum_is_named(self):
        folder = self.released()
        archive = folder / "load-commits-x86_64.zip"
        archive.write_bytes(archive.read_bytes() + b"x")
        with self.assertRaisesRegex(SystemExit, "load-commits-x86_64.zip has another checksum than SHA256SUMS-x86_64"):
            take_binaries.take(folder, Path(self.built, "taken"))
        archive.unlink()
        with self.assertRaisesRegex(SystemExit, "lacks load-commits-x86_64.zip, which its SHA256SUMS-x86_64 names"):
            take_binaries.take(folder, Path(self.built, "taken"))
        (folder / "SHA256SUMS-x86_64").unlink()
        with self.assertRaisesRegex(SystemExit, "lacks load-commits-x86_64.zip; `make release` makes them"):
            take_binaries.take(folder, Path(self.built, "taken"))
        with self.assertRaisesRegex(SystemExit, "is no folder"):
            take_binaries.take(folder / "nowhere", Path(self.built, "taken"))


if __name__ == "__main__":
    unittest.main()
