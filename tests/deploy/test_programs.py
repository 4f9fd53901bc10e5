"""A release's programs of one machine, by the release's own steps over what is compiled already."""

import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import release  # noqa: E402


class Programs(unittest.TestCase):
    def test_a_release_holds_each_program_of_one_machine(self):
        with tempfile.TemporaryDirectory() as folder:
            release.one_machine(Path(folder))
            (archive,) = Path(folder).iterdir()
            with zipfile.ZipFile(archive) as packed:
                begin = {name: packed.open(name).read(4) for name in packed.namelist()}
        self.assertEqual(begin, {name: b"\x7fELF" for name in release.PROGRAMS})


if __name__ == "__main__":
    unittest.main()
