"""One place for a check: its function, its rule and the advice for who reads that it failed.

Dagster shows rule and result; the alerts find rule and advice here by the check's name. The checks of an asset are one
step of a run: each step costs a run a dozen events and reads every table again. No check stands here.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from cs_features.orchestration.boundary import guard_boundary
from cs_features.orchestration.metadata import plot_apart
from cs_features.orchestration.partitions import interaction_partitions, partition_of

RULE = "rule"
MEANING = "meaning"  # what it means for the features that it failed
ADVICE = "advice"  # the metadata entry of a check; an evaluation may have one that fits its case

CheckFunction = Callable[..., dg.AssetCheckResult]


@dataclass(frozen=True)
class Check:
    """A check with its function; `reads` names the tables that it takes beside its asset's own."""

    spec: dg.AssetCheckSpec
    function: CheckFunction
    reads: tuple[str, ...]
    step: str

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        return dict(inspect.signature(self.function).parameters)

    def evaluate(self, inputs: dict[str, Any]) -> dg.AssetCheckResult:
        result = self.function(**{name: inputs[name] for name in self.parameters})
        metadata = dict(result.metadata or {})
        if self.spec.partitions_def == interaction_partitions:
            metadata = plot_apart(partition_of(inputs["context"]).country, metadata)
        return dg.AssetCheckResult(
            passed=result.passed,
            asset_key=self.spec.asset_key,
            check_name=self.spec.name,
            metadata=metadata,
            severity=result.severity,
            description=result.description,
        )


_CHECKS: list[Check] = []
_SPECS: dict[str, dg.AssetCheckSpec] = {}


def register_check(
    asset: str,
    *,
    rule: str,
    meaning: str,
    advice: str,
    name: str | None = None,
    reads: Sequence[str] = (),
    blocking: bool = False,
    alone: bool = False,
    beside: str | None = None,
    partitions_def: dg.PartitionsDefinition[str] | None = interaction_partitions,
) -> Callable[[CheckFunction], CheckFunction]:
    """Make the function an asset check, with one evaluation a partition; it stays a function that can be called.

    `reads` names the tables that the function takes beside the asset's own. What another job than the asset's runs is a
    step `alone`: a step reads the tables of all its checks, and those may not be there. What is written together with
    another asset is checked `beside` it, in one step.
    """

    def register(function: CheckFunction) -> CheckFunction:
        spec = dg.AssetCheckSpec(
            name or function.__name__,
            asset=asset,
            description=describe_check(rule, meaning, advice, blocking=blocking),
            metadata={ADVICE: advice, MEANING: meaning, RULE: rule},
            additional_deps=list(reads),
            blocking=blocking,
            partitions_def=partitions_def,
        )
        _remember_spec(spec)
        step = f"{asset}_check_{spec.name}" if alone else f"{beside or asset}_checks"
        _CHECKS.append(Check(spec, guard_boundary(function), tuple(reads), step))
        return function

    return register


def build_check_steps() -> list[dg.AssetChecksDefinition]:
    """All that is registered, a step an asset and one for each that stands alone."""
    by_step: dict[str, list[Check]] = {}
    for check in _CHECKS:
        by_step.setdefault(check.step, []).append(check)
    return [_build_step(name, checks) for name, checks in by_step.items()]


def _build_step(name: str, checks: Sequence[Check]) -> dg.AssetChecksDefinition:
    """A step that takes what any of the checks takes. One that crashes does not keep the others from their verdict."""

    def evaluate_checks(context: dg.AssetCheckExecutionContext, **inputs: Any) -> Iterator[dg.AssetCheckResult]:
        crashes: list[Exception] = []
        for check in checks:
            if check.spec.key not in context.selected_asset_check_keys:
                continue
            try:
                result = check.evaluate({"context": context, **inputs})
            except Exception as error:
                crashes.append(error)
            else:
                yield result
        if crashes:
            raise crashes[0]

    context = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=dg.AssetCheckExecutionContext
    )
    taken = {"context": context}
    for check in checks:
        taken |= {name: parameter for name, parameter in check.parameters.items() if name != "context"}
    # Dagster reads from the signature which tables and resources a step takes.
    evaluate_checks.__signature__ = inspect.Signature(list(taken.values()))  # type: ignore[attr-defined]
    evaluate_checks.__annotations__ = {name: parameter.annotation for name, parameter in taken.items()}
    tables = {check.spec.asset_key.to_python_identifier() for check in checks}
    tables.update(table for check in checks for table in check.reads)
    return dg.multi_asset_check(
        name=name,
        specs=[check.spec for check in checks],
        ins={table: dg.AssetIn(table) for table in tables & taken.keys()},
        can_subset=True,
    )(evaluate_checks)


def register_spec(
    name: str,
    asset: str,
    *,
    rule: str,
    meaning: str,
    advice: str,
    partitions_def: dg.PartitionsDefinition[str] | None,
) -> dg.AssetCheckSpec:
    """A check whose result the asset itself gives, because it has computed it anyway."""
    spec = dg.AssetCheckSpec(
        name,
        asset=asset,
        description=describe_check(rule, meaning, advice, blocking=False),
        metadata={ADVICE: advice, MEANING: meaning, RULE: rule},
        partitions_def=partitions_def,
    )
    _remember_spec(spec)
    return spec


def describe_check(rule: str, meaning: str, advice: str, *, blocking: bool) -> str:
    """What the UI shows of a check: what it holds to, and when it does not, what that means and what somebody does."""
    stopped = "Nothing is published, what was served stays. " if blocking else ""
    return f"{rule}\n\n**If it fails:** {stopped}{meaning} {advice}"


def _remember_spec(spec: dg.AssetCheckSpec) -> None:
    if spec.name in _SPECS:
        raise ValueError(f"two checks are named {spec.name}; alerts and runbooks know a check by its name")
    _SPECS[spec.name] = spec


def list_check_keys() -> list[dg.AssetCheckKey]:
    """Every check of ours, whether a step or an asset gives its result."""
    return [spec.key for spec in _SPECS.values()]


def find_rule(name: str) -> str:
    """What the check holds to; empty for a check that is not ours."""
    return str(_SPECS[name].metadata[RULE]) if name in _SPECS else ""


def find_meaning(name: str) -> str:
    """What follows for the features; empty for a check that is not ours."""
    return str(_SPECS[name].metadata[MEANING]) if name in _SPECS else ""


def advice_of(name: str) -> str:
    """What somebody does when the check has failed."""
    if name not in _SPECS:
        return "Open the check: its description and metadata say what it found."
    return str(_SPECS[name].metadata[ADVICE])


def is_check_step(name: str) -> bool:
    """Whether a step of a run is checks and nothing else."""
    return name.endswith("_checks") and name.removesuffix("_checks") in {
        check.spec.asset_key.to_python_identifier() for check in _CHECKS
    }
