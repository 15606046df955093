"""`make calibrate`: fit each country's corrections of the two scores on the golden corpus, and write them.

What was asked before is free, so after `make evaluate` this costs nothing. A correction is kept only if it
brings unseen items nearer to their labels by more than chance; the country file says what was kept.
"""

import argparse
import sys

from cs_features.environments import settings
from cs_features.errors import CsFeaturesError
from cs_features.extraction.session import Session
from cs_features.quality.calibration import fits_of, with_calibration
from cs_features.quality.golden import load_golden
from cs_features.quality.golden_run import ask_golden_items
from cs_features.services import build_services


def main() -> int:
    parser = argparse.ArgumentParser(prog="make calibrate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--country", nargs="*", help="default: every country")
    parser.add_argument("--dry-run", action="store_true", help="print the fits, write no file")
    options = parser.parse_args()
    try:
        services = build_services(settings())
        model = services.model
        folder, prompts = model.prompts_dir, model.prompts()
        items = load_golden(folder, prompts)
        items = [item for item in items if not options.country or item.country in options.country]

        def progress(session: Session, total: int) -> None:
            print(f"\r{len(session.outcomes)} of {total} answered", end="", file=sys.stderr, flush=True)

        answers = ask_golden_items(items, model, services.data, progress, as_said=True)
        print(f"\n{answers.calls} calls, ${answers.cost_usd:.4f}", file=sys.stderr)
        for (country,), group in sorted(answers.frame.group_by("country"), key=lambda pair: str(pair[0])):
            fits = fits_of(group)
            for found in fits.values():
                print(
                    f"{country} {found.score}: {found.items} items, mean distance to the label "
                    f"{found.distance_before:.3f}, corrected {found.distance_after:.3f} on unseen items: "
                    f"{'kept' if found.kept else 'not kept'}"
                )
            path = folder / "countries" / f"{country}.md"
            text = path.read_text(encoding="utf-8")
            changed = with_calibration(text, prompts.countries[str(country)], model.model_id, fits)
            if changed != text and not options.dry_run:
                path.write_text(changed, encoding="utf-8")
                print(f"{path} written")
    except CsFeaturesError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
