"""Prints the template, read from standard input, as JSON with its loops expanded, as the emulator expands them when it is
deployed: by what AWS was seen to do."""

import json
import sys

from ministack.services.cloudformation import engine, language_extensions

template = engine._parse_template(sys.stdin.read())
json.dump(language_extensions.apply(template, {}), sys.stdout)
