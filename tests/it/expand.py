"""Prints the template, read from standard input, as JSON with its loops expanded, by the code with which the emulator deploys it."""

import json
import sys

from ministack.services.cloudformation import engine, language_extensions

template = engine._parse_template(sys.stdin.read())
json.dump(language_extensions.apply(template, {}), sys.stdout)
