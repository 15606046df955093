"""`make preflight`: whether this account, region and settings let the product work; a line a thing that is needed.

Asks the model one tiny question and writes one object that it deletes again. 0 when all is well, 1 when something is
not, 2 when a setting is wrong.
"""

import argparse
import sys

from cs_features.cli.failures import REFUSED, report_command_failure
from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.monitoring.preflight import run_preflight_probes
from cs_features.services import build_services_from


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make preflight", description=(__doc__ or "").splitlines()[0])
    parser.parse_args(arguments)
    try:
        findings = run_preflight_probes(build_services_from(settings()))
    except CsFeaturesError as error:
        return report_command_failure(error)
    for finding in findings:
        print(finding.line)
    wrong = sum(not finding.is_ok for finding in findings)
    print("All is well." if not wrong else f"{wrong} of {len(findings)} are wrong.")
    return REFUSED if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
