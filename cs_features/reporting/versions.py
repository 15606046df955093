"""Which versions are in use, by what they are the versions of: each country's prompt, model, taxonomy, the project."""

from importlib.metadata import PackageNotFoundError, version

from cs_features.errors import ConfigurationError
from cs_features.hashing import content_hash
from cs_features.services import Model


def list_running_versions(model: Model) -> dict[str, str]:
    """A prompt that cannot be used has none."""
    found = {"model": model.model_id, "cs-features": find_project_version()}
    try:
        prompts = model.prompts()
    except ConfigurationError:
        return found
    found["taxonomy"] = content_hash(prompts.taxonomy.model_dump())[:12]
    return found | {f"prompt of {country}": prompts.version(country) for country in sorted(prompts.countries)}


def find_project_version() -> str:
    try:
        return version("cs-features")
    except PackageNotFoundError:
        return "not installed"
