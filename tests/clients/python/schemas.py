"""schemas.py kubernetes FILE...   holds manifests to the schemas of Kubernetes, strictly
schemas.py compose FILE           holds a compose file to the Compose specification's schema and to Swarm's (3.8)

Prints one JSON object: what was held to what. A mistake is printed and ends it with 1.
"""

import copy
import hashlib
import json
import os
import subprocess
import sys
import zipfile

import jsonschema
import kubernetes_validate
import yaml

# The oldest that Weir's manifests are for, and the newest that there are schemas of.
KUBERNETES = ["1.28", "1.31", "1.34", "1.37"]

# Docker's own tool carried the schemas: package, SHA-256, file, what it describes.
COMPOSE = [
    ("docker-compose==1.29.2", "8d5589373b35c8d3b1c8c1182c6e4a4ff14bffa3dd0b605fcd08f73c94cef809", "compose_spec.json"),
    ("docker-compose==1.25.5", "9d33520ae976f524968a64226516ec631dce09fba0974ce5366ad403e203eb5d", "config_schema_v3.8.json"),
]


def documents(file):
    with open(file) as text:
        return [one for one in yaml.safe_load_all(text) if one is not None]


def kubernetes(files):
    manifests = [(file, one) for file in files for one in documents(file)]
    for version in KUBERNETES:
        for file, manifest in manifests:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                sys.exit(f"{file}: {manifest['kind']} {manifest['metadata']['name']}: {error}")
            broken(lambda wrong: kubernetes_validate.validate(wrong, version, strict=True), manifest, ["metadata"])
    return {"manifests": len(manifests), "versions": KUBERNETES, "kinds": sorted({one["kind"] for _, one in manifests})}


def schema(package, sha256, name):
    place = os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "weir/clients/schemas")
    os.makedirs(place, exist_ok=True)
    wheel = os.path.join(place, f"{package.replace('-', '_').replace('==', '-')}-py2.py3-none-any.whl")
    if not os.path.exists(wheel):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", place, package]
        subprocess.run(command, check=True)
    with open(wheel, "rb") as file:
        if hashlib.sha256(file.read()).hexdigest() != sha256:
            sys.exit(f"{wheel} is not what it was")
    with zipfile.ZipFile(wheel) as file:
        return json.loads(file.read(f"compose/config/{name}"))


def compose(file):
    (written,) = documents(file)
    for package, sha256, name in COMPOSE:
        checker = jsonschema.Draft7Validator(schema(package, sha256, name))
        checked = copy.deepcopy(written)
        if name.startswith("config_schema"):
            checked["version"] = "3.8"
        for error in checker.iter_errors(checked):
            sys.exit(f"{file}: {name}: {'.'.join(map(str, error.path))}: {error.message}")
        broken(checker.validate, checked, ["services", "agent"])
    return {"services": sorted(written["services"]), "schemas": [name for _, _, name in COMPOSE]}


def broken(check, right, path):
    """A check that lets anything pass proves nothing."""
    wrong = copy.deepcopy(right)
    place = wrong
    for key in path:
        place = place[key]
    place["imagePullPolice"] = "Allways"
    try:
        check(wrong)
    except (kubernetes_validate.ValidationError, jsonschema.ValidationError):
        return
    sys.exit(f"a mistake in {'.'.join(path)} is not found")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["kubernetes", *files] if files:
            print(json.dumps(kubernetes(files)))
        case ["compose", file]:
            print(json.dumps(compose(file)))
        case _:
            sys.exit(__doc__)
