"""One run of the whole platform on a folder of files: its phases, dbt's own start-up, and the peak memory of each process."""

import datetime
import json
import os
import pathlib
import re
import subprocess
import threading

import machine

PROGRAM = machine.FUNCTIONS / "sluice-local"
STATE = machine.STATE / "platform-run"
# What stands before them in a demo prepares the data and starts everything, what stands behind compares with the oracle.
WORK = (
    "fill PostgreSQL and Kafka",
    "extract products, currencies, rates and contacts",
    "extract products that committed late",
    "load, stream and transform",
)
PHASE = re.compile(r"^  ✓ (.+?) +([0-9.]+) s$")


def prepare():
    machine.set_up("ministack", "sam", "dbt", "data")
    machine.build("sluice-local", *machine.functions())


def run(folder):
    """From nothing to a verified `sales`, in the template and functions as they deploy."""
    subprocess.run([PROGRAM, "--state", STATE, "reset"], cwd=machine.ROOT, check=True)
    phases, lines = {}, []
    command = [PROGRAM, "--state", STATE, "demo", "--data", folder]
    with subprocess.Popen(command, cwd=machine.ROOT, stdout=subprocess.PIPE, text=True) as running:
        peaks = Peaks(running.pid)
        for line in running.stdout:
            lines.append(line)
            if found := PHASE.match(line):
                phases[found[1]] = float(found[2])
        status = running.wait()
    peaks.stop()
    missing = [name for name in WORK if name not in phases]
    if status != 0 or missing:
        raise SystemExit(f"the platform ended with {status}, without the phases {missing}:\n{''.join(lines[-40:])}")
    phases = {name: phases[name] for name in WORK}
    return {"seconds": sum(phases.values()), "phases": phases, "dbt_start": dbt_start(), "peaks_mib": peaks.mib}


def kept(name):
    """The path of something that the run has left; each set of data has its own folder."""
    return next(STATE.glob(f"data/*/{name}"))


def dbt_start():
    """The seconds that runs of dbt took beside their models and tests."""
    seconds = 0
    for record in kept("state/dbt/runs").glob("*/run.json"):
        run = json.loads(record.read_text())
        began, ended = (datetime.datetime.fromisoformat(run[name]) for name in ("started_at", "finished_at"))
        seconds += (ended - began).total_seconds()
        for results in record.parent.glob("step-*-artifacts/run_results.json"):
            seconds -= json.loads(results.read_text())["elapsed_time"]
    return seconds


class Peaks:
    """Looks again and again at the peak memory of every process below one, until it is stopped."""

    EVERY = 0.25

    def __init__(self, root):
        self.root = root
        self.mib = {}
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopped.set()
        self.thread.join()

    def watch(self):
        while not self.stopped.wait(self.EVERY):
            for process in family(self.root):
                try:
                    name, mib = name_of(process), peak_of(process)
                except (OSError, StopIteration):
                    continue  # It has ended.
                self.mib[name] = max(self.mib.get(name, 0), mib)


def family(root):
    """The folders in /proc of a process and of all below it."""
    parents = {}
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found, open_ = [], [root]
    while open_:
        process = open_.pop()
        found.append(pathlib.Path(f"/proc/{process}"))
        open_ += [child for child, parent in parents.items() if parent == process]
    return found


def name_of(process):
    """A function's name, else the program's, for a program in Python its script's."""
    for variable in (process / "environ").read_bytes().split(b"\0"):
        if variable.startswith(b"AWS_LAMBDA_FUNCTION_NAME="):
            return variable.decode().split("=", 1)[1].removeprefix("sluice-local-")
    words = [pathlib.Path(word).name for word in (process / "cmdline").read_text().split("\0")]
    return words[1] if words[0].startswith("python") and len(words) > 2 else words[0].split(":")[0]


def peak_of(process):
    lines = (process / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
