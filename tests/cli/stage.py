"""A stage over its life on the AWS of one machine: an update from the release before with data in place, schedules that wait for
secrets, parts that somebody deletes by hand, the stack taken down, and a second one that takes up what the first has left. Runs beside
a filled stack, as a stage of a samconfig.toml of its own, and leaves the stack there:

    sluice-local --state <folder> with-stack --scale 0.02 -- tests/cli/stage <folder>
"""

import json
import lzma
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
BINARIES = ROOT / "target/x86_64-unknown-linux-gnu/release"
STACK, ACCOUNT, REGION = "sluice-local", "000000000000", "us-east-1"
PRODUCTS = "DLT.APPLICATION_DATA.PRODUCTS"
# What the release before has more than its template: a queue, so that one goes, and another time.
FORMER = {"Former": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": f"{STACK}-former"}}}
RELEASED = ROOT / "tests/deploy/released.yaml.xz"
SEED = int(os.environ.get("SEED", "7"))


class Life:
    def __init__(self, state, folder):
        self.state, self.folder = state, folder
        port = json.loads(Path(state, "ports.json").read_text())["aws"]
        self.own = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "SLUICE_PREBUILT": "1",
            "SLUICE_PROFILE": "release",
            "SLUICE_BINARIES": str(BINARIES),
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.1",
        }
        os.environ.update(self.own)
        services = ("cloudformation", "s3", "sqs", "secretsmanager", "scheduler", "lambda", "events", "iam")
        (self.cloudformation, self.s3, self.sqs, self.secrets, self.scheduler, self.functions, self.bus,
         self.roles) = map(boto3.client, services)
        self.bucket = f"{STACK}-lake-{ACCOUNT}"
        self.config = folder / "samconfig.toml"
        self.parameters, self.took = {}, {}

    # ---- What the test does to the stage

    def build(self):
        """The functions once; what differs later is the template."""
        built = self.folder / "build"
        sam = [ROOT / ".tools/venv/sam/bin/sam", "build", "--config-env", "local", "--build-dir", built]
        subprocess.run(sam, cwd=ROOT, check=True, capture_output=True)
        subprocess.run([sys.executable, "tools/pack.py", built], cwd=ROOT, check=True)
        self.built = json.loads((built / "template.json").read_text())
        self.template = built / "template.json"

    def configure(self, **changes):
        """Stages dev and staging as the running stack is, but for these parameters."""
        if not self.parameters:
            found = self.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["Parameters"]
            self.parameters = {one["ParameterKey"]: one["ParameterValue"] for one in found}
        self.parameters |= changes
        known = json.loads(self.template.read_text())["Parameters"]
        overrides = ",\n".join(json.dumps(f'{name}="{value}"') for name, value in self.parameters.items() if name in known)
        self.config.write_text("version = 0.1\n" + "".join(
            f'[{stage}.global.parameters]\nregion = "{REGION}"\nlanguage_extensions = true\n'
            f'[{stage}.sluice.parameters]\naccount = "{ACCOUNT}"\n'
            f'[{stage}.deploy.parameters]\nstack_name = "{STACK}"\ns3_bucket = "{STACK}-artifacts"\n'
            f'template_file = "{self.template}"\ncapabilities = "CAPABILITY_NAMED_IAM CAPABILITY_AUTO_EXPAND"\n'
            f"fail_on_empty_changeset = false\nparameter_overrides = [\n{overrides}\n]\n"
            for stage in ("dev", "staging")
        ))

    def former(self):
        """The release before, with a queue more and a queue with another time; its functions are today's."""
        former = yaml_parse(lzma.open(RELEASED, "rt").read())
        for name, resource in former["Resources"].items():
            code = self.built["Resources"].get(name, {})
            if isinstance(resource, dict) and resource["Type"].startswith("AWS::Serverless::") and isinstance(code, dict):
                where = {field: code["Properties"][field] for field in ("CodeUri", "ContentUri") if field in code["Properties"]}
                resource["Properties"] |= where
                resource.pop("Metadata", None)
        former["Resources"] |= FORMER
        times = former["Mappings"]["Visibility"]["Extract"]
        times |= dict.fromkeys(times, 5000)
        self.template.write_text(json.dumps(former))
        self.configure()

    def present(self):
        self.template.write_text(json.dumps(self.built))
        self.configure()

    def stage(self, verb, *arguments, status=0, env="dev"):
        """A verb on the stage; its JSON, or its error's."""
        begun = time.monotonic()
        called = [BINARIES / "sluice", "--json", verb, "--env", env, "--config", self.config, *arguments]
        done = subprocess.run(called, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
        self.took[verb] = self.took.get(verb, []) + [round(time.monotonic() - begun, 1)]
        assert done.returncode == status, f"sluice {verb} {arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        answer = json.loads(done.stdout) if done.stdout else {}
        return answer if status == 0 else (answer, json.loads(done.stderr)["error"])

    def sluice(self, *arguments, status=0):
        called = [BINARIES / "sluice", "--stack", STACK, "--json", *arguments]
        done = subprocess.run(called, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == status, f"sluice {arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    # ---- What must be so

    def newest(self):
        """The newest commit of a table, which must be loaded."""
        table = next(one for one in self.sluice("status")["tables"] if one["table"] == PRODUCTS)
        assert table["load"]["pending"] == 0 and table["load"]["failed"] == 0, table
        return table["commit"]["sequence"]

    def objects(self):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix="raw/")
        return sorted(one["Key"] for page in pages for one in page.get("Contents", []))

    def resources(self, kind):
        pages = self.cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK)
        return [one for page in pages for one in page["StackResourceSummaries"] if one["ResourceType"] == kind]

    def physical(self, logical):
        found = self.cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId=logical)
        return found["StackResourceDetail"]["PhysicalResourceId"]

    def held(self):
        """What no update may change: objects, messages, secrets, who may read the lake, and what somebody has switched."""
        letters = self.physical("SpoolDead")
        depth = self.sqs.get_queue_attributes(QueueUrl=letters, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
        schedule = self.scheduler.get_schedule(Name=self.physical("FullRefreshSchedule"), GroupName=self.physical("Schedules"))
        return {
            "objects": self.objects(),
            "letters": depth,
            "secrets": self.secret_values(),
            "trust": self.roles.get_role(RoleName=self.physical("LakeReaderRole"))["Role"]["AssumeRolePolicyDocument"],
            "schedule": schedule["State"],
            "key": self.physical("LakeKey"),
        }

    def switch(self, state):
        """As somebody does it by hand."""
        found = self.scheduler.get_schedule(Name=self.physical("FullRefreshSchedule"), GroupName=self.physical("Schedules"))
        kept = ("Name", "GroupName", "ScheduleExpression", "ScheduleExpressionTimezone", "FlexibleTimeWindow", "Target")
        self.scheduler.update_schedule(**{field: found[field] for field in kept}, State=state)

    def secret_values(self):
        names = [one["Name"] for one in self.secrets.list_secrets()["SecretList"] if one["Name"].startswith(f"{STACK}/")]
        return {name: self.secrets.get_secret_value(SecretId=name)["SecretString"] for name in names}


def named(plan, resource):
    return next((change for change in plan.get("changes", []) if change["resource"] == resource), None)


def updated(life):
    """From the release before, with data in place: what would be lost is refused until it is named, and nothing else is touched."""
    life.former()
    life.stage("deploy", "--built", "--yes")
    before = life.newest()
    life.sluice("run", "products", "--full-refresh", "--wait")
    assert life.newest() == before + 1
    life.sqs.send_message(QueueUrl=life.physical("SpoolDead"), MessageBody="accepted, and not in Kafka")
    life.switch("ENABLED")
    held = life.held()
    assert held["letters"]["ApproximateNumberOfMessages"] != "0" and held["schedule"] == "ENABLED", held

    life.present()
    plan = life.stage("diff", "--built")
    assert named(plan, "Former")["action"] == "remove" and named(plan, "Former")["loses"] == "its messages", plan["changes"]
    assert "VisibilityTimeout" in named(plan, "ExtractQueue")["fields"], plan["changes"]
    assert [change["resource"] for change in plan["changes"] if change.get("loses")] == ["Former"], plan["changes"]
    assert plan["warehouse"]["changes"] == [] and plan["then_schedules"] is False, plan
    _, error = life.stage("deploy", "--built", "--yes", status=2)
    assert "Former would lose its messages" in error["message"], error
    life.sqs.get_queue_url(QueueName=f"{STACK}-former")
    answer = life.stage("deploy", "--built", "--yes", "--lose", "Former")
    assert answer["status"] == "UPDATE_COMPLETE" and answer["changed"] > 0 and answer["schedules"] is False, answer
    assert life.newest() == before + 1 and life.held() == held
    life.switch("DISABLED")
    life.sqs.purge_queue(QueueUrl=life.physical("SpoolDead"))

    nothing = life.stage("deploy", "--built", "--yes")
    assert nothing["changed"] == 0, nothing


def deleted_by_hand(life):
    """Whatever somebody deletes is named, stays away through a deployment, and comes back by the documented command."""
    group = life.physical("Schedules")
    queue = lambda name: lambda: life.sqs.delete_queue(QueueUrl=life.physical(name))
    schedule = lambda name: lambda: life.scheduler.delete_schedule(Name=life.physical(name), GroupName=group)
    ways = {
        "ExtractDead": queue("ExtractDead"),
        "LoadQueue": queue("LoadQueue"),
        "DispatchQueue": queue("DispatchQueue"),
        "ExtractPostgresSchedule": schedule("ExtractPostgresSchedule"),
        "LoadSweepSchedule": schedule("LoadSweepSchedule"),
        "ExtractHubspot": lambda: life.functions.delete_function(FunctionName=life.physical("ExtractHubspot")),
        "TableLoadedRule": lambda: life.bus.delete_rule(Name=life.physical("TableLoadedRule"), EventBusName=f"{STACK}-bus", Force=True),
        "BusArchive": lambda: life.bus.delete_archive(ArchiveName=life.physical("BusArchive")),
        "LakePolicy": lambda: life.s3.delete_bucket_policy(Bucket=life.bucket),
    }
    mappings = [one["LogicalResourceId"] for one in life.resources("AWS::Lambda::EventSourceMapping")]
    ways |= {name: lambda name=name: life.functions.delete_event_source_mapping(UUID=life.physical(name)) for name in mappings}
    chance = random.Random(SEED)
    gone = sorted(chance.sample(sorted(ways), 5))
    print(f"deleted by hand, of the seed {SEED}: {', '.join(gone)}")
    held, newest = life.held(), life.newest()
    for name in gone:
        ways[name]()
    life.roles.delete_role_policy(RoleName=life.physical("SchedulerRole"), PolicyName="least")

    checks = life.sluice("doctor", status=1)
    found = next(check for check in checks if check["what"] == "resources")
    missing = set(found["detail"].removeprefix("deleted by hand: ").split(", "))
    # With a function goes what is configured of it.
    assert set(gone) <= missing and all(name in gone or name.startswith("ExtractHubspot") for name in missing), found
    assert "deploy --env STAGE --mend" in found["fix"], found
    assert life.stage("deploy", "--built", "--yes")["changed"] == 0
    plan = life.stage("diff", "--mend")
    by_hand = {change["resource"]: (change["action"], change["by_hand"]) for change in plan["changes"] if change.get("by_hand")}
    assert {name for name, what in by_hand.items() if what == ("add", "deleted")} == missing, by_hand
    assert by_hand["SchedulerRole"] == ("change", "changed"), by_hand
    answer = life.stage("deploy", "--mend", "--yes")
    assert answer["status"] == "UPDATE_COMPLETE", answer
    assert not [check for check in answer["checks"] if check["health"] == "failed"], answer["checks"]
    checks = life.sluice("doctor")
    assert next(check for check in checks if check["what"] == "resources")["health"] == "ok", checks
    assert life.held() == held
    life.sluice("run", "products", "--full-refresh", "--wait")
    assert life.newest() == newest + 1


def reviewed(life):
    """What was read is carried out once, and nothing else."""
    file = life.folder / "plan.json"
    life.configure(LogRetentionDays="14" if life.parameters["LogRetentionDays"] == "30" else "30")
    life.stage("diff", "--built", "--save", str(file), "--prefix", "pull")
    apart = life.s3.list_objects_v2(Bucket=f"{STACK}-artifacts", Prefix=f"{STACK}/pull/")
    assert apart["KeyCount"] > len(life.built["Resources"]) / 100, "the zips lie beside those that are carried out"
    read = json.loads(file.read_text())
    assert read["change_set"] and read["changes"], read
    file.write_text(json.dumps({**read, "changes": read["changes"][1:]}))
    _, error = life.stage("deploy", "--plan", str(file), "--yes", status=1)
    assert "not the one that was read" in error["message"], error
    file.write_text(json.dumps(read))
    assert life.stage("deploy", "--plan", str(file), "--yes")["status"] == "UPDATE_COMPLETE"
    _, error = life.stage("deploy", "--plan", str(file), "--yes", status=1)
    assert "plan again" in error["hint"], error


def switched_on(life):
    """Schedules wait until every secret is filled, and go on by the same command."""
    name = f"{STACK}/dbt"
    value = life.secrets.get_secret_value(SecretId=name)["SecretString"]
    life.secrets.put_secret_value(SecretId=name, SecretString="nothing")
    life.configure(SchedulesEnabled="ENABLED")
    answer, error = life.stage("deploy", "--built", "--yes", status=1)
    assert answer["schedules"] is False and "schedules stay off" in error["message"], (answer, error)
    failed = {check["what"] for check in answer["checks"] if check["health"] == "failed"}
    assert "secret DbtSecret" in failed and "dbt" in failed, answer["checks"]
    life.secrets.put_secret_value(SecretId=name, SecretString=value)
    answer = life.stage("deploy", "--built", "--yes")
    assert answer["schedules"] is True and not [one for one in answer["checks"] if one["health"] == "failed"], answer
    life.configure(SchedulesEnabled="DISABLED")
    assert life.stage("deploy", "--built", "--yes")["schedules"] is False


def switched_on_by_a_plan(life):
    """What was read is carried out whole, so that what schedules need is asked before, and again after."""
    name, file = f"{STACK}/dbt", life.folder / "on.json"
    value = life.secrets.get_secret_value(SecretId=name)["SecretString"]
    life.secrets.put_secret_value(SecretId=name, SecretString="nothing")
    life.configure(SchedulesEnabled="ENABLED")
    life.stage("diff", "--built", "--save", str(file))
    _, error = life.stage("deploy", "--plan", str(file), "--yes", status=1)
    assert "nothing was changed: schedules would go on" in error["message"], error
    now = life.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["Parameters"]
    assert {"ParameterKey": "SchedulesEnabled", "ParameterValue": "DISABLED"} in now, now
    life.secrets.put_secret_value(SecretId=name, SecretString=value)
    answer = life.stage("deploy", "--plan", str(file), "--yes")
    assert answer["schedules"] is True and {"dbt", "warehouse"} <= {check["what"] for check in answer["checks"]}, answer
    life.configure(SchedulesEnabled="DISABLED")
    assert life.stage("deploy", "--built", "--yes")["schedules"] is False


def protected(life):
    """The deployment of a stage that is no trial protects its stack; who destroys it learns how that is taken off."""
    def is_protected():
        return life.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["EnableTerminationProtection"]

    assert not is_protected(), "dev is a trial"
    for _ in range(2):
        answer = life.stage("deploy", "--built", "--yes", env="staging")
        assert {"protection": "ok"}.items() <= {check["what"]: check["health"] for check in answer["checks"]}.items(), answer
        assert is_protected()
    _, error = life.stage("destroy", "--confirm", STACK, status=1, env="staging")
    assert "is protected against deletion" in error["message"] and "--no-enable-termination-protection" in error["hint"], error
    life.cloudformation.update_termination_protection(StackName=STACK, EnableTerminationProtection=False)


def taken_down_and_up(life):
    """The lake outlives the stack, and the next one loads on where the first has stopped."""
    newest, kept, values = life.newest(), life.objects(), life.secret_values()
    # As CloudFormation encrypts the lake; the emulator makes the bucket without.
    key = life.cloudformation.describe_stack_resource(StackName=STACK, LogicalResourceId="LakeKey")["StackResourceDetail"]
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{key['PhysicalResourceId']}"}
    encryption = {"Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]}
    life.s3.put_bucket_encryption(Bucket=life.bucket, ServerSideEncryptionConfiguration=encryption)
    parting = life.stage("destroy", "--dry-run")
    assert {"Lake", "LakeKey", "LakePolicy", "SpoolQueue", "DbtSecret"} <= {one["resource"] for one in parting["kept"]}, parting
    life.stage("destroy", status=2)
    life.stage("destroy", "--confirm", "sluice-prod", status=2)
    assert life.stage("destroy", "--confirm", STACK)["deleted"] is True
    assert life.objects() == kept, "the lake is not what it was"

    # The emulator of CloudFormation imports neither secrets nor policies of buckets. As if somebody had removed them: they are
    # made again.
    life.s3.delete_bucket_policy(Bucket=life.bucket)
    for name in values:
        if not name.endswith("/snowflake-provisioner"):
            life.secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    plan = life.stage("diff", "--built")
    assert {"Lake", "LakeKey", "SpoolQueue", "SpoolDead"} == {one["resource"] for one in plan["imported"]}, plan
    _, error = life.stage("deploy", "--built", status=2)
    assert "no terminal to ask at" in error["message"], error
    answer = life.stage("deploy", "--built", "--yes")
    unfilled = [check["what"] for check in answer["checks"] if check["health"] == "failed"]
    assert "secret PostgresSecret" in unfilled, answer
    for name, value in values.items():
        if "/snowflake-" not in name:
            life.secrets.put_secret_value(SecretId=name, SecretString=value)
    assert set(kept) <= set(life.objects()), "the lake has lost objects"
    assert life.newest() == newest
    life.sluice("run", "products", "--full-refresh", "--wait")
    assert life.newest() == newest + 1


def main(state):
    with tempfile.TemporaryDirectory() as folder:
        life = Life(state, Path(folder))
        life.build()
        life.configure()
        for part in (updated, reviewed, switched_on, switched_on_by_a_plan, protected, deleted_by_hand, taken_down_and_up):
            part(life)
        print("a stage's life: " + ", ".join(f"{verb} {max(took)} s at most" for verb, took in life.took.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
