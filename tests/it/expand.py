"""Prints the template, read from standard input, as JSON: `written` as it stands, `expanded` with its loops expanded by the code with
which the emulator deploys it. The argument is a JSON object of parameters' values."""

import json
import sys

from ministack.services.cloudformation import engine, language_extensions

template = engine._parse_template(sys.stdin.read())
expanded = language_extensions.apply(template, json.loads(sys.argv[1]))
json.dump({"written": template, "expanded": expanded}, sys.stdout)
