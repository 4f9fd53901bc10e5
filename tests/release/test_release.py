"""What a release holds, from a folder like the one that `sam build` leaves, and that a machine takes its programs from it."""

import hashlib
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import release  # noqa: E402
import take_binaries  # noqa: E402


class Release(unittest.TestCase):
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
        release.sums(self.files)
        wanted = [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}.zip" for name in "ab"]
        self.assertEqual((self.files / "SHA256SUMS").read_text().splitlines(), wanted)

    def released(self):
        """A release with programs that print their own names."""
        programs = Path(self.built, "programs")
        for name in take_binaries.functions():
            folder = Path(self.built, name)
            folder.mkdir()
            (folder / "bootstrap").write_text(f"#!/bin/sh\necho {name}\n")
            release.pack(folder, self.files / f"{name}.zip")
        programs.mkdir()
        for name in release.PROGRAMS:
            (programs / name).write_text(f"#!/bin/sh\necho {name}\n")
        release.pack(programs, self.files / take_binaries.ONE_MACHINE)
        release.sums(self.files)
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
            (self.files / name).write_text(name)
        taken = Path(self.built, "taken")
        take_binaries.take(self.files, taken)
        self.assertEqual((taken / "sluice-local").read_text(), "sluice-local")

    def test_a_file_that_is_missing_or_other_than_its_checksum_is_named(self):
        folder = self.released()
        archive = folder / "load-commits.zip"
        archive.write_bytes(archive.read_bytes() + b"x")
        with self.assertRaisesRegex(SystemExit, "load-commits.zip has another checksum"):
            take_binaries.take(folder, Path(self.built, "taken"))
        (folder / "SHA256SUMS").unlink()
        archive.unlink()
        with self.assertRaisesRegex(SystemExit, "lacks load-commits.zip; `make release` makes them"):
            take_binaries.take(folder, Path(self.built, "taken"))
        with self.assertRaisesRegex(SystemExit, "is no folder"):
            take_binaries.take(folder / "nowhere", Path(self.built, "taken"))


if __name__ == "__main__":
    unittest.main()
