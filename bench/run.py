"""Runs one benchmark, or all: bench/run.py [P1 ...]. Each is a file of this folder with a main(): p1.py and so on, and
latency.py, which takes minutes and runs only when it is named."""

import importlib
import os
import pathlib
import sys

FOLDER = pathlib.Path(__file__).resolve().parent


def main():
    wanted = [name.lower() for name in sys.argv[1:]] or sorted(path.stem for path in FOLDER.glob("p[0-9].py"))
    for name in wanted:
        if not (FOLDER / f"{name}.py").exists():
            known = ", ".join([*sorted(path.stem.upper() for path in FOLDER.glob("p[0-9].py")), "latency"])
            raise SystemExit(f"there is no benchmark {name.upper()}; there are {known}")
        print(f"── {name.upper()} on {os.cpu_count()} CPUs", flush=True)
        importlib.import_module(name).main()


if __name__ == "__main__":
    main()
