"""What the tests of the documentation must notice: each fault is made on purpose."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/docs"))
sys.path.insert(0, str(ROOT / "tests/docs"))

import cloudformation  # noqa: E402
import first_quarter  # noqa: E402
import imports  # noqa: E402
import links  # noqa: E402
import pages  # noqa: E402
import picture  # noqa: E402
import reference  # noqa: E402
import run  # noqa: E402
from stage import Stage  # noqa: E402


def page(*lines):
    return {"a.md": "\n".join(["# A page", "", *lines, ""])}


def failures(*lines, state=None):
    return len(run.judge(page(*lines), state).failures)


class FirstQuarter(unittest.TestCase):
    def test_the_readme_leads_to_own_data_in_a_few_commands(self):
        commands = [command for command, _, _ in first_quarter.steps(ROOT)]
        self.assertEqual(commands[0], "make demo")
        self.assertTrue(any(command.startswith(first_quarter.GOAL) for command in commands[1:]), commands)
        self.assertNotIn("make up", commands, "a platform that stays would never end")
        self.assertEqual(commands.count("make demo"), 1)


class Commands(unittest.TestCase):
    state = Path("no-platform")

    def test_a_command_that_fails_is_noticed(self):
        self.assertEqual(failures("```sh", "true", "```", state=self.state), 0)
        self.assertEqual(failures("```sh", "false", "true", "```", state=self.state), 1)
        self.assertEqual(failures("```console status=2", "$ exit 3", "```", state=self.state), 1)

    def test_an_output_that_is_another_one_is_noticed(self):
        self.assertEqual(failures("```console", "$ echo 17 rows", "17 rows", "```", state=self.state), 0)
        self.assertEqual(failures("```console", "$ echo 17 rows", "18 rows", "```", state=self.state), 1)
        self.assertEqual(failures("```console", "$ echo 17 rows", "```", state=self.state), 1)
        self.assertEqual(failures("```console", "$ true", "17 rows", "```", state=self.state), 1)

    def test_blocks_of_a_page_share_folder_and_variables(self):
        lines = ["```sh", "export WHO=ada", "touch here", "```", "```console", "$ echo $WHO; ls here", "ada", "here", "```"]
        self.assertEqual(failures(*lines, state=self.state), 0)

    def test_a_command_that_nothing_executes_is_noticed(self):
        self.assertEqual(failures("Text.", "", "    tools/sluice status"), 1)
        self.assertEqual(failures("```", "$ make demo", "```"), 1)
        self.assertEqual(failures("```bash", "true", "```"), 1)
        self.assertEqual(failures("```sh", "true"), 1)

    def test_a_command_for_an_account_is_parsed_and_counted_apart(self):
        good = run.judge(page("```sh aws", "sam deploy --config-env <stage>", "aws s3 ls", "```"), self.state)
        self.assertEqual((good.commands, good.for_an_account, good.executed, good.failures), (2, 2, 0, []))
        self.assertEqual(failures("```sh aws", "sam deploy 'dev", "```"), 1)
        self.assertEqual(failures("```sql aws", "SELECT 1", "```"), 1)

    @unittest.skipUnless(run.SLUICE.exists(), "the binaries are not built")
    def test_an_option_that_the_command_does_not_have_is_noticed(self):
        self.assertEqual(failures("```sh aws", "tools/sluice run products --wait --stack x", "```"), 0)
        self.assertEqual(failures("```sh aws", "tools/sluice run products --wayt", "```"), 1)
        self.assertEqual(failures("```sh aws", "tools/sluice run products --wai", "```"), 1)

    @unittest.skipUnless(run.SLUICE.exists(), "the binaries are not built")
    def test_a_verb_that_the_command_does_not_have_is_noticed(self):
        self.assertEqual(failures("```sh aws", "tools/sluice destory", "```"), 1)

    @unittest.skipUnless(run.SLUICE.exists(), "the binaries are not built")
    def test_a_verb_and_a_task_that_the_command_does_not_have_are_noticed(self):
        for good in ["warehouse plan --stack x", "alerts --stack x", "run plan --wait", "warehouse rotate SVC --secret s"]:
            self.assertEqual(failures("```sh aws", f"tools/sluice {good}", "```"), 0, good)
        for bad in ["statuss", "warehouse plann --stack x", "runs --tab products"]:
            self.assertEqual(failures("```sh aws", f"tools/sluice {bad}", "```"), 1, bad)

    @unittest.skipUnless(run.SLUICE.exists(), "the binaries are not built")
    def test_a_command_in_a_sentence_that_is_none_is_noticed(self):
        self.assertEqual(failures("Say `sluice run TABLE --wait`, then `make demo DATA=x`, of `sluice dispatch <n> (<id>)`."), 0)
        self.assertEqual(failures("`tools/sluice rejcts products`, `sluice run T --wayt`, `make dmo`"), 3)
        self.assertEqual(failures("```text", "`make dmo`", "```"), 0)

    def test_a_command_that_ci_does_not_run_is_noticed(self):
        self.assertEqual(failures("```sh ci", "make demo", "make dbt-snowflake", "```"), 0)
        self.assertEqual(failures("```sh ci", "make clean", "```"), 1)
        self.assertEqual(failures("```sh ci", "make nothing", "```"), 1)

    def test_an_example_that_is_no_json_or_yaml_is_noticed(self):
        self.assertEqual(failures("```json", '{"a": 1}', "```", "```yaml", "a: 1", "```"), 0)
        self.assertEqual(failures("```json", '{"a": }', "```", "```yaml", "a: [", "```"), 2)


class Outputs(unittest.TestCase):
    def same(self, expected, actual):
        return pages.matches(expected.splitlines(), actual.splitlines())

    def test_times_ids_and_widths_do_not_count(self):
        self.assertTrue(self.same("T  #4  3.6s   197  paused", "T   #12  1m  197  paused"))
        self.assertTrue(self.same("rows per second: 6.6 (5m), 0.5 (1h)", "rows per second: 0.0 (5m), 0.4 (1h)"))
        self.assertTrue(self.same("on this machine, 2026-11-23 03:52:41 UTC", "on this machine, 2027-01-01 00:00:00 UTC"))
        self.assertTrue(self.same('cursor  {"high":225,"pend…', 'cursor  {"high":7}'))
        self.assertTrue(self.same("newest commit 4.1s ago; paused with all of its functio…", "newest commit 54.1s ago; paused with all of its funct…"))

    def test_counts_and_words_count(self):
        self.assertFalse(self.same("T  #4  3.6s   197  paused", "T  #4  3.6s   198  paused"))
        self.assertFalse(self.same("✓ warehouse: answers", "✗ warehouse: answers"))

    def test_what_may_be_anything_is_said(self):
        self.assertTrue(self.same("a\n...\nd", "a\nb\nc\nd"))
        self.assertFalse(self.same("a\n...\nd", "a\nb"))
        self.assertTrue(self.same("a [..] d", "a b c d"))

    def test_a_written_page_passes(self):
        text = "x\n    ```console\n    $ one\n    old\n    $ two\n    ```\ny"
        new = pages.rewritten(text, {3: ["new", "lines"]})
        self.assertEqual(new, "x\n    ```console\n    $ one\n    new\n    lines\n    $ two\n    ```\ny")


class Picture(unittest.TestCase):
    report = "sluice\n\n  ✓ load  <3 s\n  1 customers\n  the totals leave nothing out\n  /a/path\n"

    def test_a_picture_shows_the_report_as_far_as_it_is_the_same_everywhere(self):
        lines = picture.shown("make demo", self.report)
        self.assertEqual(lines[0], "$ make demo")
        self.assertEqual(lines[-1], "  the totals leave nothing out")
        drawn = picture.render(lines)
        self.assertTrue(pages.matches(picture.texts(drawn), lines))
        self.assertFalse(pages.matches(picture.texts(drawn.replace("customers", "nobody")), lines))

    def test_the_pictures_first_font_has_every_glyph(self):
        # DejaVu Sans Mono: Latin, box drawing, arrows and these two signs.
        known = set(map(chr, range(32, 127))) | set("✓✗…·→")
        self.assertLessEqual(set("".join(picture.texts(run.PICTURE.read_text()))), known)


class Links(unittest.TestCase):
    def site(self, **files):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, text in files.items():
            (folder / f"{name}.html").write_text(text)
        return links.broken_links(folder)

    def test_a_link_an_anchor_and_a_picture_that_are_missing_are_noticed(self):
        good = '<a href="b.html#here">b</a><a href="https://example.org">out</a>'
        self.assertEqual(self.site(a=good, b='<h2 id="here">'), [])
        for bad in ['<a href="c.html">', '<a href="b.html#gone">', '<img src="gone.svg">', '<a href="#gone">', '<a href="../x.html">']:
            self.assertEqual(len(self.site(a=bad, b="")), 1, bad)

    def test_what_is_fetched_from_elsewhere_is_noticed(self):
        for bad in ['<script src="https://cdn.example/x.js">', '<link href="https://fonts.example/x.css" rel="stylesheet">', '<img src="//x.example/a.png">']:
            self.assertEqual(len(self.site(a=bad)), 1, bad)

    def test_an_entry_without_a_page_and_a_page_without_an_entry_are_noticed(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "adr").mkdir()
        for name, text in {"a.md": "", "b.md": "", "adr/README.md": "[1](0001.md)", "adr/0001.md": "", "adr/0002.md": ""}.items():
            (folder / name).write_text(text)
        configuration = folder / "mkdocs.yml"
        configuration.write_text("nav:\n  - A: a.md\n  - More:\n      - adr/README.md\n      - gone.md\n")
        told = links.missing_entries(configuration, folder)
        self.assertEqual(told, ["nav: gone.md has no page", "nav: the page adr/0002.md is not in it", "nav: the page b.md is not in it"])

    def test_a_link_of_a_page_leads_to_the_same_on_the_site(self):
        stage = Stage()
        for source, link, place in [
            ("docs/how-to/leave.md", "../streaming.md#the-archive", "../streaming.md#the-archive"),
            ("docs/cli.md", "../functions/load-commits/README.md", "functions/load-commits.md"),
            ("README.md", "docs/cli.md#run", "cli.md#run"),
            ("docs/evidence.md", "../ARCHITECTURE.md#what-cannot-be-proven-on-one-machine", "not-proven.md"),
            ("docs/tour.md", "../shared/sluice-core/src/commit.rs", "files/shared/sluice-core/src/commit.rs.txt"),
            ("docs/cli.md", "https://example.org/a", "https://example.org/a"),
        ]:
            self.assertEqual(stage.address(source, link), place)
        self.assertEqual(stage.problems, [])
        stage.address("docs/cli.md", "gone.md")
        self.assertEqual(len(stage.problems), 1)

    def test_a_file_that_a_page_names_and_that_is_gone_is_noticed(self):
        stage = Stage()
        stage.named_files("docs/a.md", "`tools/setup` and `functions/<name>/README.md`, `dbt/models`, `raw/*/log`")
        self.assertEqual(stage.problems, [])
        stage.named_files("docs/a.md", "`tools/gone` and `shared/sluice-core/src/gone.rs`")
        self.assertEqual(len(stage.problems), 2)


class Imports(unittest.TestCase):
    def repository(self, **pages):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for name, text in pages.items():
            path = folder / "docs" / f"{name}.md"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        git = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@example.com"]
        for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "Pages"]):
            subprocess.run([*git, *command], check=True)
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        return {"name": "analytics", "repository": str(folder), "commit": commit, "folder": "docs"}

    def test_pages_of_another_repository_are_on_the_site(self):
        entry = self.repository(index="# Analytics\n[models](models.md) and [code](../src/a.sql)", models="# Models\n")
        work = Path(self.enterContext(tempfile.TemporaryDirectory()))
        told = imports.place(entry, imports.fetch(entry, work / "cache"), work / "site")
        self.assertEqual(told, {"analytics": [{"Analytics": "analytics/index.md"}, {"Models": "analytics/models.md"}]})
        self.assertEqual((work / "site/analytics/index.md").read_text(), "# Analytics\n[models](models.md) and code")

    def test_a_fetched_repository_is_not_asked_again(self):
        entry = self.repository(index="# A\n")
        cache = Path(self.enterContext(tempfile.TemporaryDirectory()))
        imports.fetch(entry, cache)
        imports.fetch({**entry, "repository": "gone"}, cache)

    def test_an_import_that_is_not_pinned_or_not_there_is_refused(self):
        entry = self.repository(index="# A\n")
        cache = Path(self.enterContext(tempfile.TemporaryDirectory()))
        listed = cache / "imports.yaml"
        listed.write_text(f"imports: [{{name: a, repository: b, commit: main, folder: docs}}]")
        for broken in (lambda: imports.listed(listed), lambda: imports.fetch({**entry, "commit": "0" * 40}, cache)):
            with self.assertRaises(imports.NotImported):
                broken()


class Reference(unittest.TestCase):
    def test_a_loop_of_the_template_is_expanded(self):
        text = "Mappings: {M: {A: {Name: one}}}\nResources:\n  Fn::ForEach::All:\n    - Each\n    - [A, B]\n    - ${Each}Queue: {Type: Q, Properties: {Name: !Sub '${AWS::StackName}-${Each}'}}\n"
        template = cloudformation.Template(text)
        names = [(name, template.text(properties["Name"])) for name, properties in template.of("Q")]
        self.assertEqual(names, [("AQueue", "<stack>-A"), ("BQueue", "<stack>-B")])
        self.assertEqual(template.text({"Fn::FindInMap": ["M", "A", "Name"]}), "one")

    def test_every_alarm_has_a_runbook_that_exists(self):
        for _, page_name in reference.RUNBOOKS:
            self.assertTrue((ROOT / f"docs/runbooks/{page_name}.md").exists(), page_name)
        with self.assertRaises(reference.NotFound):
            reference.runbook("<stack>-made-up")

    def test_every_variable_and_kind_is_told(self):
        told = reference.configuration()
        for name in ("SLUICE_POSTGRES_SPLIT_ROWS", "DbtMinIntervalSeconds", "KafkaBootstrap"):
            self.assertIn(f"`{name}`", told)
        for kind in ("Config", "SchemaMismatch", "Internal"):
            self.assertIn(f"| `{kind}` |", reference.errors())


if __name__ == "__main__":
    unittest.main()
