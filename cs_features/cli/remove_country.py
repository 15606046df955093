"""`make remove-country COUNTRY=PL`: what belongs to a country, counted; with YES=1 all of it is taken away.

Its prompt file, its golden items, its records in the feature store, and its tables, ledger and listings in the data
bucket. Landed documents stay where they are.
"""

import argparse
import sys

from cs_features.cli.failures import report_command_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.planning.removal import find_country_belongings, remove_country_belongings
from cs_features.publishing.feature_group import require_group
from cs_features.services import build_services_from


def main(arguments: list[str] | None = None) -> int:
    """0; 2 when the request or a setting is wrong, 1 when AWS refuses, each with a sentence on stderr."""
    parser = argparse.ArgumentParser(prog="make remove-country", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("country", help="such as PL")
    parser.add_argument("--yes", action="store_true", help="do it; without it nothing is changed")
    options = parser.parse_args(arguments)
    try:
        _remove_country_belongings(options.country, options.yes)
    except CsFeaturesError as error:
        return report_command_failure(error)
    return 0


def _remove_country_belongings(country: str, confirmed: bool) -> None:
    services = build_services_from(settings())
    group = services.feature_group
    found = find_country_belongings(country, services, require_group(group.control_plane(), group.name))
    print(f"What belongs to {country}:")
    for line in found.describe():
        print(f"  {line}")
    if not confirmed:
        print("Nothing was changed. To take all of it away: --yes, or YES=1 with make.")
        return
    left = remove_country_belongings(found, services)
    print(f"All of it is gone. {left} records were left, because another country serves their interactions by now.")
    print(
        "Now reload the definitions in Dagster (Deployment, Reload): until then it still offers the country, and its "
        f"runs fail. Documents under interactions/country={country}/ were not touched and are told as strays."
    )


if __name__ == "__main__":
    sys.exit(main())
