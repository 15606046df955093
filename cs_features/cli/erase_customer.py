"""`make erase-customer CUSTOMER=c-1`: what there is of a person, counted; with YES=1 all of it is erased.

Landing files, tables, ledger, journals, notices, the feature store and its history; and tombstones, so that nothing
brings it back. `-` reads the customer's id from the standard input, where no shell remembers it. `--again` names
nobody: whoever was erased and was delivered again goes out of landing, by his tombstone.
"""

import argparse
import sys
from datetime import datetime, timezone

from cs_features.cli.failures import report_command_failure
from cs_features.environments import settings
from cs_features.erasure.subjects import make_erasure_subject
from cs_features.errors import CsFeaturesError
from cs_features.planning.erasing.again import erase_landed_again
from cs_features.planning.erasing.eraser import erase_subject_everywhere
from cs_features.planning.erasing.stores import open_erasable_stores
from cs_features.services import build_services_from


def main(arguments: list[str] | None = None) -> int:
    """0; 2 when the request or a setting is wrong, 1 when AWS refuses, each with a sentence on stderr."""
    parser = argparse.ArgumentParser(prog="make erase-customer", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--customer", metavar="ID", help="the customer_id of the documents; - reads it from stdin")
    parser.add_argument("--interaction", metavar="UUID", nargs="+", default=[], help="interaction ids")
    parser.add_argument("--again", action="store_true", help="nobody new: whoever is erased, out of landing again")
    parser.add_argument("--yes", action="store_true", help="do it; without it nothing is changed")
    options = parser.parse_args(arguments)
    customer = sys.stdin.readline().strip() if options.customer == "-" else options.customer
    try:
        if options.again:
            _erase_landed_again(options.yes)
        else:
            _erase_customer_everywhere(customer, options.interaction, options.yes)
    except CsFeaturesError as error:
        return report_command_failure(error)
    return 0


def _erase_customer_everywhere(customer: str | None, interactions: list[str], confirmed: bool) -> None:
    subject = make_erasure_subject(customer, interactions, datetime.now(timezone.utc))
    services = build_services_from(settings())
    key = services.data.reveal_tombstone_key()
    stores = open_erasable_stores(
        services.landing, services.data, services.feature_group, services.customer_feature_group
    )
    receipt = erase_subject_everywhere(subject, stores, key, dry_run=not confirmed)
    for line in receipt.describe():
        print(line)
    if not confirmed:
        print("Nothing was changed. To erase all of it: --yes, or YES=1 with make.")


def _erase_landed_again(confirmed: bool) -> None:
    services = build_services_from(settings())
    landing, data = services.landing.zone().bucket, services.data
    tally = erase_landed_again(landing, data.bucket(), data.reveal_tombstone_key(), dry_run=not confirmed)
    verb = "erased" if confirmed else "would be erased"
    print(f"{tally.found} documents in {tally.objects.total()} objects of the landing bucket {verb} again.")
    if tally.unread:
        print(f"{len(tally.unread)} objects cannot be read: allow s3:GetObject on them, and do it again.")
    if not confirmed:
        print("Nothing was changed. To erase them: --yes, or YES=1 with make.")


if __name__ == "__main__":
    sys.exit(main())
