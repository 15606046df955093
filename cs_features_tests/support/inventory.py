"""The daily inventory, run once. What it should have found is the test's."""

from cs_features_tests.support.lab import Lab, Run


def take_inventory(lab: Lab) -> Run:
    job = lab.definitions.resolve_job_def("take_inventory")
    return Run(job.execute_in_process(instance=lab.instance, raise_on_error=False), lab.instance)
