"""One place for a check: its function, its rule and the advice for who reads that it failed.

Dagster shows rule and result; the alerts find rule and advice here by the check's name. No check stands here.
"""

from collections.abc import Callable, Sequence

import dagster as dg

from cs_features.orchestration.partitions import interaction_partitions

CHECKS: list[dg.AssetChecksDefinition] = []
_SPECS: dict[str, dg.AssetCheckSpec] = {}
ADVICE = "advice"  # the metadata entry of a check; an evaluation may have one that fits its case

CheckFunction = Callable[..., dg.AssetCheckResult]


def register_check(
    asset: str,
    *,
    rule: str,
    advice: str,
    name: str | None = None,
    reads: Sequence[str] = (),
    blocking: bool = False,
    partitions_def: dg.PartitionsDefinition[str] | None = interaction_partitions,
) -> Callable[[CheckFunction], dg.AssetChecksDefinition]:
    """Make the function an asset check, with one evaluation a partition.

    `reads` names the tables that the function takes beside the asset's own.
    """

    def register(function: CheckFunction) -> dg.AssetChecksDefinition:
        check = dg.asset_check(
            asset=asset,
            name=name,
            description=rule,
            metadata={ADVICE: advice},
            additional_ins={table: dg.AssetIn(table) for table in reads},
            blocking=blocking,
            partitions_def=partitions_def,
        )(function)
        for spec in check.check_specs:
            _remember_spec(spec)
        CHECKS.append(check)
        return check

    return register


def register_spec(
    name: str, asset: str, *, rule: str, advice: str, partitions_def: dg.PartitionsDefinition[str]
) -> dg.AssetCheckSpec:
    """A check whose result the asset itself gives, because it has computed it anyway."""
    spec = dg.AssetCheckSpec(
        name, asset=asset, description=rule, metadata={ADVICE: advice}, partitions_def=partitions_def
    )
    _remember_spec(spec)
    return spec


def _remember_spec(spec: dg.AssetCheckSpec) -> None:
    if spec.name in _SPECS:
        raise ValueError(f"two checks are named {spec.name}; alerts and runbooks know a check by its name")
    _SPECS[spec.name] = spec


def find_rule(name: str) -> str:
    """What the check holds to; empty for a check that is not ours."""
    return (_SPECS[name].description or "") if name in _SPECS else ""


def advice_of(name: str) -> str:
    """What somebody does when the check has failed."""
    if name not in _SPECS:
        return "Open the check: its description and metadata say what it found."
    return str(_SPECS[name].metadata[ADVICE])


def list_check_steps() -> frozenset[str]:
    """The steps of a run that are checks and nothing else."""
    return frozenset(check.node_def.name for check in CHECKS)
