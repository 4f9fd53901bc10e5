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
    BatchReadInputSimplePublicObjectId, Filter, FilterGroup, PublicObjectSearchRequest, SimplePublicObjectId,
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

try:
    HubSpot(access_token="pat-eu1-wrong").crm.contacts.get_all()
    sys.exit("a wrong token was let in")
except ApiException as refusal:
    if refusal.status != 401:
        sys.exit(f"a wrong token was answered with {refusal.status}")
print("HubSpot's client sees the contacts as they are")
