"""What a release holds, from a folder like the one that `sam build` leaves."""

import hashlib
import os
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import release  # noqa: E402


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


if __name__ == "__main__":
    unittest.main()
