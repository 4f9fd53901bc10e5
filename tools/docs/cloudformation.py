"""Reads template.yaml as data: CloudFormation's short forms written out, its loops expanded, its values as people read them."""

import re

import yaml


class Loader(yaml.SafeLoader):
    """YAML with CloudFormation's tags: `!Ref X` becomes {"Ref": "X"}, `!Sub` {"Fn::Sub": ...}, as the long forms say it."""


def _tag(loader, suffix, node):
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if name == "Fn::GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


Loader.add_multi_constructor("!", _tag)


def load(text):
    """The template with every loop expanded."""
    return _expand(yaml.load(text, Loader))


def _replace(value, name, item):
    if isinstance(value, str):
        return value.replace(f"${{{name}}}", item).replace(f"&{{{name}}}", re.sub(r"\W", "", item))
    if isinstance(value, list):
        return [_replace(each, name, item) for each in value]
    if value == {"Ref": name}:
        return item
    if isinstance(value, dict) and set(value) == {"Fn::Sub"} and isinstance(value["Fn::Sub"], str):
        # A name that the loop makes whole, in `Ref` and `GetAtt`.
        text = _replace(value["Fn::Sub"], name, item)
        return {"Fn::Sub": text} if "${" in text else text
    if isinstance(value, dict):
        return {_replace(key, name, item): _replace(each, name, item) for key, each in value.items()}
    return value


def _expand(value):
    if isinstance(value, list):
        return [_expand(each) for each in value]
    if not isinstance(value, dict):
        return value
    expanded = {}
    for key, each in value.items():
        if str(key).startswith("Fn::ForEach::"):
            name, items, fragment = each
            for item in items:
                expanded.update(_expand(_replace(fragment, name, str(item))))
        else:
            expanded[key] = _expand(each)
    return expanded


class Template:
    """What the pages ask of a template."""

    def __init__(self, text):
        self.data = load(text)
        self.parameters = self.data.get("Parameters", {})
        self.resources = self.data["Resources"]
        self._maps = self.data.get("Mappings", {})

    def of(self, kind):
        """Name and properties of every resource of a kind, in the template's order."""
        return [(name, each.get("Properties", {})) for name, each in self.resources.items() if each["Type"] == kind]

    def condition(self, name):
        return self.resources[name].get("Condition")

    def text(self, value):
        """A value in words: names instead of references, `<stack>` for the stack's name, a condition's first branch that says something."""
        if isinstance(value, bool):
            return str(value).lower()
        if not isinstance(value, (dict, list)):
            return str(value)
        if isinstance(value, list):
            return ", ".join(filter(None, (self.text(each) for each in value)))
        [(function, inner)] = value.items() if len(value) == 1 else [(None, value)]
        if function == "Ref":
            return self._named(inner)
        if function == "Fn::GetAtt":
            return self._named(".".join(inner) if isinstance(inner, list) else inner)
        if function == "Fn::Sub":
            text, local = inner if isinstance(inner, list) else (inner, {})
            known = lambda found: self.text(local[found[1]]) if found[1] in local else self._named(found[1])
            return re.sub(r"\$\{([^}]+)\}", known, text)
        if function == "Fn::FindInMap":
            return self._mapped(inner)
        if function == "Fn::If":
            return self.text(inner[1]) or self.text(inner[2])
        if function == "Fn::Join" and isinstance(inner[1], dict):
            return inner[0].join(self.text(inner[1]["Fn::Split"][1]).split(inner[1]["Fn::Split"][0]))
        if function == "Fn::Join":
            return inner[0].join(self.text(each) for each in inner[1])
        return ", ".join(f"{key}: {self.text(each)}" for key, each in value.items())

    def _mapped(self, keys):
        value = self._maps
        for key in keys:
            value = value.get(self.text(key)) if isinstance(value, dict) else None
        return self.text(value) if value is not None else "/".join(map(self.text, keys))

    def _named(self, name):
        known = {"AWS::StackName": "<stack>", "AWS::AccountId": "<account>", "AWS::Region": "<region>", "AWS::Partition": "aws", "AWS::NoValue": ""}
        if name in known:
            return known[name]
        return name.removesuffix(".Arn")
