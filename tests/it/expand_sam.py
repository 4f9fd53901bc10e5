"""Prints the resources of the template, read from standard input, with their types as JSON, its loops expanded by the code with which
`sam build` finds the functions. The argument is a JSON object of parameters' values."""

import json
import sys

from samcli.lib.cfn_language_extensions.sam_integration import expand_language_extensions
from samcli.yamlhelper import yaml_parse

template = yaml_parse(sys.stdin.read())
expanded = expand_language_extensions(template, parameter_values=json.loads(sys.argv[1]), enabled=True)
json.dump({name: resource["Type"] for name, resource in expanded.expanded_template["Resources"].items()}, sys.stdout)
