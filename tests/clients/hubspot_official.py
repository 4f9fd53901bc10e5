"""HubSpot's own client library against the emulator: it must see the contacts as they are.

    hubspot_official.py <emulator's binary>
"""

import sys

from account import Account, same
from front import serve_as_hubspot

account = Account(sys.argv[1], 1_200)
serve_as_hubspot(account.url)

from hubspot import HubSpot  # noqa: E402 (after the authority is set)
from hubspot.crm.contacts import (  # noqa: E402
    BatchInputSimplePublicObjectBatchInput, BatchReadInputSimplePublicObjectId, Filter, FilterGroup, PublicObjectSearchRequest,
    SimplePublicObjectBatchInput, SimplePublicObjectId,
)
from hubspot.crm.contacts.exceptions import ApiException  # noqa: E402
from urllib3.util.retry import Retry  # noqa: E402

PROPERTIES = ["email", "firstname", "lastname", "lifecyclestage", "createdate", "lastmodifieddate"]
TEXTS = ["email", "firstname", "lastname", "lifecyclestage"]

# What HubSpot's documentation advises: wait out the search's limit per second.
retries = Retry(total=8, backoff_factor=0.3, status_forcelist=(429, 502), allowed_methods=None)
client = HubSpot(access_token=account.token, retry=retries)


def texts(records):
    return {record.id: {name: record.properties[name] for name in TEXTS} for record in records}


def expected(contacts):
    return {number: {name: contact[name] for name in TEXTS} for number, contact in contacts.items()}


same("list", texts(client.crm.contacts.get_all(properties=PROPERTIES)), expected(account.live))
archived = client.crm.contacts.get_all(properties=PROPERTIES, archived=True)
same("archived", texts(archived), expected(account.archived))
if not all(record.archived and record.archived_at for record in archived):
    sys.exit("an archived contact does not say so")

found, after = [], None
while True:
    page = client.crm.contacts.search_api.do_search(PublicObjectSearchRequest(
        filter_groups=[FilterGroup(filters=[Filter(property_name="lastmodifieddate", operator="GTE", value="0")])],
        sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}], properties=PROPERTIES, limit=200, after=after,
    ))
    found += page.results
    if not page.paging:
        break
    after = page.paging.next.after
same("search", texts(found), expected(account.live))
if page.total != len(account.live):
    sys.exit(f"the search counts {page.total} contacts")
times = {record.id: int(record.updated_at.timestamp() * 1_000) for record in found}
same("times", times, {number: contact["lastmodifieddate"] // 1_000 for number, contact in account.live.items()})

numbers = sorted(account.live)[:100]
read = client.crm.contacts.batch_api.read(batch_read_input_simple_public_object_id=BatchReadInputSimplePublicObjectId(
    properties=PROPERTIES, properties_with_history=[], inputs=[SimplePublicObjectId(id=number) for number in numbers],
))
same("batch", texts(read.results), expected({number: account.live[number] for number in numbers}))

names = {item.name for item in client.crm.properties.core_api.get_all("contacts").results}
if not {*PROPERTIES, "hs_merged_object_ids", "hs_object_id"} <= names:
    sys.exit(f"properties are missing: {sorted(names)}")

definitions = {item.name: item for item in client.crm.properties.core_api.get_all("contacts").results}
if not definitions["createdate"].modification_metadata.read_only_value or [
    option.value for option in definitions["customer_tier"].options
] != ["low", "medium", "high"]:
    sys.exit("a definition does not say what may be written")

written, gone = sorted(account.live)[:3], sorted(account.archived)[0]
inputs = [
    SimplePublicObjectBatchInput(id=number, properties={"total_orders": "7"}, object_write_trace_id=f"trace-{number}")
    for number in written
]
done = client.crm.contacts.batch_api.update(batch_input_simple_public_object_batch_input=BatchInputSimplePublicObjectBatchInput(inputs=inputs))
same("update", {record.id: record.properties["total_orders"] for record in done.results}, dict.fromkeys(written, "7"))
wrong = [
    SimplePublicObjectBatchInput(id=written[0], properties={"customer_tier": "gold"}, object_write_trace_id="wrong"),
    SimplePublicObjectBatchInput(id=gone, properties={"total_orders": "7"}, object_write_trace_id="gone"),
    SimplePublicObjectBatchInput(id=written[1], properties={"customer_tier": "high"}, object_write_trace_id="right"),
]
parts = client.crm.contacts.batch_api.update(batch_input_simple_public_object_batch_input=BatchInputSimplePublicObjectBatchInput(inputs=wrong))
errors = {error.context["objectWriteTraceId"][0]: error.category for error in parts.errors}
same("errors", errors, {"wrong": "VALIDATION_ERROR", "gone": "OBJECT_NOT_FOUND"})
same("parts", [record.id for record in parts.results], [written[1]])

history = client.crm.contacts.batch_api.read(batch_read_input_simple_public_object_id=BatchReadInputSimplePublicObjectId(
    properties=[], properties_with_history=["total_orders"], inputs=[SimplePublicObjectId(id=number) for number in written],
))
values = {record.id: [version.value for version in record.properties_with_history["total_orders"]] for record in history.results}
same("history", values, dict.fromkeys(written, ["7"]))

try:
    client.crm.contacts.batch_api.update(batch_input_simple_public_object_batch_input=BatchInputSimplePublicObjectBatchInput(
        inputs=[SimplePublicObjectBatchInput(id=written[0], properties={"createdate": "2026-01-31"})],
    ))
    sys.exit("a read-only property was written")
except ApiException as refusal:
    if refusal.status != 400:
        sys.exit(f"a read-only property was answered with {refusal.status}")

try:
    HubSpot(access_token="pat-eu1-wrong").crm.contacts.get_all()
    sys.exit("a wrong token was let in")
except ApiException as refusal:
    if refusal.status != 401:
        sys.exit(f"a wrong token was answered with {refusal.status}")
print("HubSpot's client sees the contacts as they are, and changes them")
