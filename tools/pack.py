"""Packs what `sam build` has built, in the folder that is named, for a deployment on one machine.

`sam deploy` zips functions one after another, as small as they get, and parses the template in YAML seven times. Here each
function becomes a zip file that is made fast and beside the others, and the template JSON; SAM takes both as they are."""

import json
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from samcli.yamlhelper import yaml_parse

folder = Path(sys.argv[1])


def pack(function):
    code = folder / function["Properties"]["CodeUri"]
    with zipfile.ZipFile(f"{code}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path in sorted(code.rglob("*")):
            packed.write(path, path.relative_to(code))
    function["Properties"]["CodeUri"] += ".zip"


template = yaml_parse((folder / "template.yaml").read_text())
# A loop is a list; no loop makes functions.
resources = [resource for resource in template["Resources"].values() if isinstance(resource, dict)]
functions = [resource for resource in resources if resource["Type"] == "AWS::Serverless::Function"]
with ThreadPoolExecutor() as threads:
    list(threads.map(pack, functions))
(folder / "template.json").write_text(json.dumps(template))
