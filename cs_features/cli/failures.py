"""How a command ends that cannot do what it was asked: one sentence and an exit code. A bug keeps its traceback."""

import sys

from cs_features.errors import ConfigurationError, CsFeaturesError, RequestError

REFUSED = 1  # AWS or the model did not do it
WRONG_REQUEST = 2  # whoever asked must mend a setting, a file or the request; argparse exits so, too


def report_command_failure(error: CsFeaturesError) -> int:
    """Print the error to stderr; returns the exit code."""
    print(error, file=sys.stderr)
    return WRONG_REQUEST if isinstance(error, ConfigurationError | RequestError) else REFUSED
