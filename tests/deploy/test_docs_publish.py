"""The site goes into a prefix of the lake's bucket, against the S3 of one machine."""

import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import docs_publish  # noqa: E402 It lies beside the other tools.
import one_machine  # noqa: E402


class Publish(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.s3 = one_machine.started(cls)("s3")

    def setUp(self):
        self.bucket = f"lake-{self.id().rsplit('_', 1)[-1]}"
        self.s3.create_bucket(Bucket=self.bucket)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.site = Path(folder.name)
        (self.site / "start").mkdir()
        (self.site / "index.html").write_text("<h1>Sluice</h1>")
        (self.site / "start/site.css").write_text("body {}")

    def publish(self):
        return docs_publish.publish(self.s3, self.bucket, self.site)

    def keys(self):
        return {found["Key"] for found in self.s3.list_objects_v2(Bucket=self.bucket)["Contents"]}

    def test_a_site_is_published_once_changed_and_taken_down_beside_the_lake(self):
        self.s3.put_object(Bucket=self.bucket, Key="raw/A/B/C/log/1.json", Body=b"{}")
        self.assertEqual(self.publish(), (2, 0))
        page = self.s3.get_object(Bucket=self.bucket, Key="docs/index.html")
        self.assertEqual((page["Body"].read(), page["ContentType"]), (b"<h1>Sluice</h1>", "text/html; charset=utf-8"))
        self.assertEqual(self.s3.head_object(Bucket=self.bucket, Key="docs/start/site.css")["ContentType"], "text/css; charset=utf-8")
        self.assertEqual(self.publish(), (0, 0), "what is there is left as it is")

        (self.site / "index.html").write_text("<h1>Changed</h1>")
        (self.site / "start/site.css").unlink()
        self.assertEqual(self.publish(), (1, 1))
        self.assertEqual(self.keys(), {"docs/index.html", "docs/contents.json", "raw/A/B/C/log/1.json"})

    def test_a_publication_that_broke_off_is_made_up_for(self):
        self.publish()
        (self.site / "late.html").write_text("late")
        (self.site / "image.svg").write_text("<svg/>")
        refused = docs_publish.PREFIX + "late.html"

        class Broken:
            """Everything but one page arrives."""

            def __init__(self, s3):
                self.s3 = s3

            def __getattr__(self, name):
                return getattr(self.s3, name)

            def put_object(self, **what):
                if what["Key"] == refused:
                    raise ConnectionError("cut off")
                return self.s3.put_object(**what)

        with self.assertRaises(ConnectionError):
            docs_publish.publish(Broken(self.s3), self.bucket, self.site)
        self.assertIn("docs/image.svg", self.keys(), "pages come after what they show")
        self.publish()
        self.assertIn(refused, self.keys())


if __name__ == "__main__":
    unittest.main()
